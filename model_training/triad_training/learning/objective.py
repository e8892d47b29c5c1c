"""What training minimises: every task's loss, on all media together and on subsets of them.

Shape letters: B rows, K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.outputs import MediumName, media_subsets
from triad_serving.contract.tasks import BLANK, Task, with_one_answer
from triad_training.config.train_config import TaskConfig, TrainConfig
from triad_training.layers import distributed
from triad_training.learning.alignment import alignment_loss
from triad_training.learning.contrast import Contrast
from triad_training.learning.distillation import Teacher, soft_loss
from triad_training.network.head import RAREST
from triad_training.network.model import Encoded, TriadModel

ALIGNED_FROM = 0.5  # of a run: before, contributions are of a network that knows little
FOCUS = 2.0  # exponent of focal loss: what its authors found best


class Objective(nn.Module):
    """The loss of a batch.

    Each medium is encoded once; then all media together, every medium alone and, of three, one random pair
    each answer for themselves. So any subset works at inference, and the easiest medium cannot keep the
    others from learning, as it does where examples are only shown whole (Wang et al. 2020, arXiv:1905.12681).
    """

    def __init__(
        self,
        model: TriadModel,
        config: TrainConfig,
        tasks: Sequence[Task],
        *,
        teacher: Teacher | None = None,
    ) -> None:
        """teacher: a network whose answers count beside the labels."""
        super().__init__()
        self.model = model
        self.teacher = teacher
        self.tasks = tuple(tasks)
        self.optim = config.optim
        self.losses = {
            task.name: TaskLoss(task, config.tasks[task.name], label_smoothing=config.optim.label_smoothing)
            for task in with_one_answer(tasks)
        }
        self.weights = {task.name: config.tasks[task.name].weight for task in tasks}
        # Of each task, learned where asked for: Kendall et al. 2018, arXiv:1705.07115, equation 10.
        uncertain = tasks if config.optim.task_weights == "uncertainty" else ()
        self.log_variances = nn.ParameterDict(
            {task.name: nn.Parameter(torch.zeros(())) for task in uncertain}
        )
        self.contrast = Contrast(config.optim.contrast_loss, tasks) if config.optim.contrast else None

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        *,
        items_BM: Tensor | None = None,
        step: int = 0,
        progress: float = 1.0,
    ) -> Tensor:
        """Of all processes' rows together: see distributed.mean.

        items_BM: as ExampleDataset has them, for optim.contrast. step: draws the pair of media. progress:
        share of the run that is done.
        """
        encoded = self.model.encode(inputs)
        rows = {medium: inputs[f"{medium}_row"] for medium in self.model.media}
        taught = self.teacher.encode(inputs) if self.teacher else None
        loss = next(iter(encoded.values())).tokens_NPD.new_zeros(())
        losses = [
            self._subset_loss(encoded, subset, rows, targets, taught)
            for subset in draw_subsets(self.model.media, seed=(self.optim.seed, step))
            if self.tasks
        ]
        if losses:
            loss = torch.stack(losses).mean()
        aligned = with_one_answer(self.tasks)
        if aligned and self.optim.alignment and progress >= ALIGNED_FROM:
            loss = loss + self.optim.alignment * alignment_loss(self.model, aligned, encoded, rows)
        if self.contrast is not None and items_BM is not None:
            term = self.contrast(self.model.embed(encoded, rows), items_BM, targets)
            loss = loss + self.optim.contrast * term
        if self.optim.l1:
            learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            matrices = [parameter for parameter in learning if parameter.ndim > 1]
            loss = loss + self.optim.l1 * torch.stack([matrix.abs().sum() for matrix in matrices]).sum()
        return loss

    def _subset_loss(
        self,
        encoded: Encoded,
        subset: Sequence[MediumName],
        rows: Mapping[MediumName, Tensor],
        targets: Mapping[str, Tensor],
        taught: Encoded | None = None,
    ) -> Tensor:
        """Over the rows that have any medium of the subset. taught: the same items, as a teacher has them."""
        present_B = torch.stack([rows[m] < encoded[m].tokens_NPD.shape[0] for m in subset]).any(0)
        present = {m: rows[m][present_B] for m in subset}
        outputs = self.model.answer({m: encoded[m] for m in subset}, present)
        answers: Mapping[str, Tensor] = {}
        if self.teacher is not None and taught is not None:
            answers = self.teacher.answer({m: taught[m] for m in subset}, present)
        terms = []
        for task in self.tasks:
            weight, logits = self.weights[task.name], f"logits.{task.name}"
            if logits not in outputs:
                continue  # a transcript, without the sound
            labels, scale = targets[task.name][present_B], outputs[logits].new_ones(())
            if task.type == "transcript":
                moments_BS = outputs[f"moments.{task.name}"]
                term = weight * transcript_loss(outputs[logits], moments_BS, labels)
            else:
                scale = self.model.head(task.name).scale
                term = self.losses[task.name](outputs[logits], labels, scale)
            if task.name in self.log_variances:
                log_variance = self.log_variances[task.name]
                term = term * (-log_variance).exp() + log_variance / 2
            if answers:
                soft = soft_loss(task, outputs[logits], answers[logits], scale)
                if task.type == "transcript":
                    soft = soft[moments_BS]
                term = term + weight * distributed.mean(soft)
            terms.append(term)
        return torch.stack(terms).sum() if terms else next(iter(outputs.values())).new_zeros(())


def draw_subsets(media: Sequence[MediumName], *, seed: Sequence[int]) -> list[tuple[MediumName, ...]]:
    """All media, each alone, and one random subset of those between: the same in every process."""
    subsets = media_subsets(media)
    between = [subset for subset in subsets if 1 < len(subset) < len(media)]
    drawn = between[np.random.default_rng(seed).integers(len(between))] if between else None
    return [subset for subset in subsets if len(subset) in (1, len(media)) or subset == drawn]


def transcript_loss(logits_BSK: Tensor, moments_BS: Tensor, targets_BL: Tensor) -> Tensor:
    """Negative log likelihood of the symbols of each labelled row that has a sound, by symbol; their mean.

    Over all ways in which the moments can say them: connectionist temporal classification. In single
    precision whatever the network computes in. targets_BL: see data/labels.py.
    """
    labelled = moments_BS.any(1) & ~torch.isnan(targets_BL).any(1)
    log_SBK = logits_BSK[labelled].float().log_softmax(2).transpose(0, 1)
    targets_BL = targets_BL[labelled].long()
    counts_B = (targets_BL != BLANK).sum(1)
    if not len(counts_B):
        return distributed.mean(log_SBK.sum((0, 2)))
    loss_B = F.ctc_loss(
        log_SBK, targets_BL, moments_BS[labelled].sum(1), counts_B, blank=BLANK, reduction="none"
    )
    return distributed.mean(loss_B / counts_B.clamp(min=1))


class TaskLoss:
    """Mean over the labelled rows, times the task's weight; 0 where there is no labelled row.

    Cross-entropy, binary cross-entropy, or Huber's loss in units of the target's deviation. Against rare
    classes: weights inversely proportional to their share in the training split, with mean 1 over its rows
    (King & Zeng 2001), or focal loss, which counts an answer less the surer and righter it is (Lin et al.
    2017, arXiv:1708.02002).
    """

    def __init__(self, task: Task, config: TaskConfig, *, label_smoothing: float) -> None:
        self.task = task
        self.config = config
        self.label_smoothing = label_smoothing
        self.prior_K = torch.tensor(task.prior or [1.0 / max(task.outputs, 1)] * task.outputs)

    def __call__(self, logits_BK: Tensor, targets: Tensor, deviation: Tensor) -> Tensor:
        missing = torch.isnan(targets)
        labelled = ~(missing if missing.ndim == 1 else missing.any(1))
        logits_BK, targets = logits_BK[labelled], targets[labelled]
        match self.task.type:
            case "transcript":
                raise AssertionError("has a loss of its own")
            case "classification":
                loss = self._of_classes(logits_BK, targets.long())
            case "multilabel":
                loss = self._of_tags(logits_BK, targets)
            case "regression":
                loss = F.huber_loss(logits_BK[:, 0] / deviation, targets / deviation, reduction="none")
        return self.config.weight * distributed.mean(loss)

    def _of_classes(self, logits_BK: Tensor, targets_B: Tensor) -> Tensor:
        loss_B = F.cross_entropy(logits_BK, targets_B, label_smoothing=self.label_smoothing, reduction="none")
        if self.config.imbalance == "weights":
            return self._class_weights(logits_BK.device)[targets_B] * loss_B
        if self.config.imbalance == "focal":
            sure_B = logits_BK.softmax(1).gather(1, targets_B[:, None])[:, 0]
            return (1 - sure_B) ** FOCUS * loss_B
        return loss_B

    def _of_tags(self, logits_BK: Tensor, targets_BK: Tensor) -> Tensor:
        loss_BK = F.binary_cross_entropy_with_logits(logits_BK, targets_BK, reduction="none")
        if self.config.imbalance == "weights":
            prior_K = self.prior_K.to(logits_BK.device).clamp(RAREST, 1 - RAREST)
            loss_BK = loss_BK * torch.where(targets_BK == 1, 0.5 / prior_K, 0.5 / (1 - prior_K))
        if self.config.imbalance == "focal":
            loss_BK = loss_BK * (targets_BK - logits_BK.sigmoid()).abs() ** FOCUS
        return loss_BK

    def _class_weights(self, device: torch.device) -> Tensor:
        return 1 / (self.task.outputs * self.prior_K.to(device).clamp(min=RAREST))
