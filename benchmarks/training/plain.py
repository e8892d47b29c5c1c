"""The same network trained as people write it: a loader, a loss, an optimiser, a loop."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from triad_serving.contract.tasks import Task
from triad_training.data.dataset import LabelledInputs, collate
from triad_training.learning.objective import Objective
from triad_training.learning.optimizer import parameter_groups, warmup_cosine
from triad_training.learning.prepare import Prepared
from triad_training.network.model import TriadModel


class PlainLoop:
    """The same data, augmentation, network, optimiser and average of weights as a Learner's, on the CPU."""

    def __init__(self, model: TriadModel, prepared: Prepared, *, loss: nn.Module | None = None) -> None:
        """loss: default, that of the trainer, over all media and over subsets of them."""
        optim = prepared.config.optim
        self.optim, self.data, self.model = optim, prepared.train, model
        self.loss = loss or Objective(model, prepared.config, prepared.tasks)
        self.loader: DataLoader[LabelledInputs] = DataLoader(
            prepared.train,
            batch_size=optim.batch_size,
            shuffle=True,
            num_workers=optim.workers,
            collate_fn=functools.partial(collate, spec=prepared.config.spec),
        )
        self.optimizer = torch.optim.AdamW(parameter_groups(self.loss, optim), lr=optim.learning_rate)
        self.steps = optim.epochs * len(self.loader)
        self.schedule = LambdaLR(
            self.optimizer, functools.partial(warmup_cosine, steps=self.steps, optim=optim)
        )
        self.average = AveragedModel(
            model,
            multi_avg_fn=get_ema_multi_avg_fn(optim.average),  # type: ignore[no-untyped-call]
        )

    def epoch(self, number: int) -> float:
        """The mean loss."""
        self.data.epoch = number
        self.loss.train()
        total = 0.0
        for batch in self.loader:
            step = self.schedule.last_epoch
            self.optimizer.zero_grad()
            loss = self.loss(batch["inputs"], batch["targets"], step=step, progress=step / self.steps)
            loss.backward()
            nn.utils.clip_grad_norm_(self.loss.parameters(), self.optim.clip_norm)
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.model)
            total += loss.item()
        return total / len(self.loader)


class WholeLoss(nn.Module):
    """Of all media together alone: what most people train, cheaper, and lost where a medium is missing."""

    def __init__(self, model: TriadModel, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.model = model
        self.tasks = tasks

    def forward(
        self, inputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], **_progress: float
    ) -> Tensor:
        rows = {medium: inputs[f"{medium}_row"] for medium in self.model.media}
        outputs = self.model.answer(self.model.encode(inputs), rows)
        losses = []
        for task in self.tasks:
            logits, target = outputs[f"logits.{task.name}"], targets[task.name]
            match task.type:
                case "classification":
                    losses.append(nn.functional.cross_entropy(logits, target.long()))
                case "multilabel":
                    losses.append(nn.functional.binary_cross_entropy_with_logits(logits, target))
                case _:
                    losses.append(nn.functional.huber_loss(logits[:, 0], target))
        return torch.stack(losses).sum()
