"""What training minimises: every task's loss, on all media together and on subsets of them.

Shape letters: B rows, K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_training.config import TrainConfig
from model_training.model import Encoded, TriadModel
from service.contract import Medium, Task, media_subsets


class Objective(nn.Module):
    """The loss of a batch.

    Each medium is encoded once; then all media together, every medium alone and, of three, one random pair
    each answer for themselves. So any subset works at inference, and the easiest medium cannot keep the
    others from learning, as it does where examples are only shown whole (Wang et al. 2020, arXiv:1905.12681).
    """

    def __init__(self, model: TriadModel, config: TrainConfig, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.model = model
        self.tasks = tuple(tasks)
        self.weights = {name: task.weight for name, task in config.tasks.items()}
        self.label_smoothing = config.optim.label_smoothing

    def forward(self, inputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        encoded = self.model.encode(inputs)
        losses = [
            self._subset_loss(encoded, subset, inputs, targets) for subset in draw_subsets(self.model.media)
        ]
        return torch.stack(losses).mean()

    def _subset_loss(
        self,
        encoded: Encoded,
        subset: Sequence[Medium],
        inputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
    ) -> Tensor:
        """Over the rows that have any medium of the subset."""
        rows = {medium: inputs[f"{medium}_row"] for medium in subset}
        present_B = torch.stack([rows[m] < encoded[m].tokens_NPD.shape[0] for m in subset]).any(0)
        outputs = self.model.answer(
            {medium: encoded[medium] for medium in subset}, {m: row_B[present_B] for m, row_B in rows.items()}
        )
        terms = [
            self.weights[task.name]
            * task_loss(
                task,
                outputs[f"logits.{task.name}"],
                targets[task.name][present_B],
                label_smoothing=self.label_smoothing,
                deviation=self.model.head(task.name).scale,
            )
            for task in self.tasks
        ]
        return torch.stack(terms).sum()


def draw_subsets(media: Sequence[Medium]) -> list[tuple[Medium, ...]]:
    """All media, each alone, and one random subset of those between; by torch's generator."""
    subsets = media_subsets(media)
    between = [subset for subset in subsets if 1 < len(subset) < len(media)]
    drawn = between[int(torch.randint(len(between), ()))] if between else None
    return [subset for subset in subsets if len(subset) in (1, len(media)) or subset == drawn]


def task_loss(
    task: Task, logits_BK: Tensor, targets: Tensor, *, label_smoothing: float, deviation: Tensor
) -> Tensor:
    """Mean over the labelled rows, 0 where there are none.

    Cross-entropy, binary cross-entropy, or Huber's loss in units of `deviation`.
    """
    missing = torch.isnan(targets)
    labelled = ~(missing if missing.ndim == 1 else missing.any(1))
    logits_BK, targets = logits_BK[labelled], targets[labelled]
    if not len(targets):
        return logits_BK.sum()
    match task.type:
        case "classification":
            return F.cross_entropy(logits_BK, targets.long(), label_smoothing=label_smoothing)
        case "multilabel":
            return F.binary_cross_entropy_with_logits(logits_BK, targets)
        case "regression":
            return F.huber_loss(logits_BK[:, 0] / deviation, targets / deviation)
