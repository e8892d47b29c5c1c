"""What a large network knows, told to a small one: its answers beside the labels, in every subset of media.

Source: Hinton, Vinyals & Dean 2015, Distilling the knowledge in a neural network (arXiv:1503.02531). Teacher
and student see the very same augmented inputs (Beyer et al. 2022, arXiv:2106.05237, "consistent teaching").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_training.config.reading import parse_config, read_toml
from triad_training.config.train_config import TrainConfig
from triad_training.network.model import Encoded, TriadModel

SOFTNESS = 2.0  # temperature of both: what the teacher thinks of the wrong classes, too
STUDENT_SECTIONS = ("model", "optim", "augment")


class Teacher:
    """A trained network that answers along. No module: its weights are neither trained nor saved."""

    def __init__(self, network: TriadModel) -> None:
        self._network = network.eval().requires_grad_(False)

    def encode(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """Every medium of a batch, once, on the batch's device."""
        self._network.to(next(iter(inputs.values())).device)
        return self._network.encode(inputs)

    def answer(self, encoded: Encoded, rows: Mapping[MediumName, Tensor]) -> Mapping[str, Tensor]:
        return self._network.answer(encoded, rows)


def soft_loss(task: Task, logits_BK: Tensor, taught_BK: Tensor, deviation: Tensor) -> Tensor:
    """Of each row (and tag, or moment): divergence of softened answers, times SOFTNESS squared to keep
    gradients' size.

    Of a regression: Huber's loss against the teacher's value, in units of the target's deviation.
    """
    student, teacher = logits_BK / SOFTNESS, taught_BK / SOFTNESS
    match task.type:
        case "classification":
            student, teacher = student.log_softmax(1), teacher.log_softmax(1)
            loss = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
        case "transcript":
            student, teacher = student.float().log_softmax(2), teacher.float().log_softmax(2)
            loss = F.kl_div(student, teacher, reduction="none", log_target=True).sum(2)
        case "multilabel":
            entropy = F.binary_cross_entropy_with_logits(teacher, teacher.sigmoid(), reduction="none")
            cross = F.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="none")
            loss = cross - entropy
        case "regression":
            return F.huber_loss(logits_BK / deviation, taught_BK / deviation, reduction="none")
    return SOFTNESS**2 * loss


def student_config(path: Path, teacher: TrainConfig) -> TrainConfig:
    """The teacher's config with what a TOML file says of network, optimiser and augmentation.

    What the student reads and answers is what its teacher does. Raises ConfigError.
    """
    document = read_toml(path)
    if strange := sorted(document.keys() - set(STUDENT_SECTIONS)):
        raise ConfigError(
            f"{path}: {', '.join(strange)}: a student differs from its teacher in "
            f"{', '.join(STUDENT_SECTIONS)} only."
        )
    merged = teacher.model_dump()
    for name, section in document.items():
        merged[name] = merged[name] | section if isinstance(section, dict) else section
    return parse_config(merged, path).with_paths_from(path.parent)
