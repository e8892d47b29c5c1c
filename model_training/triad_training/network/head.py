"""A task's answer from what its attention read in each medium.

Shape letters: B rows, M media, D width, K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_training.layers.prunable import Group, hidden_units
from triad_training.network.fusion import AttentionReading

RAREST = 1e-3  # share below which a class's prior is not believed: a few examples do not prove it rarer


class Head(nn.Module):
    """From what was read in each medium to one answer: opinions, added up by their evidence.

    Of classes and tags each medium holds an opinion between -1 (it is not) and 1 (it is), and the logits are
    those of the training prior plus the sum of evidence times opinion: independent experts, multiplied
    (Hinton 2002, Training products of experts), so that two that agree are surer than one. The evidence of
    a medium then grows or shrinks by how much it agrees with this first answer, and the sum is taken again:
    one round of routing by agreement (Sabour et al. 2017, arXiv:1710.09829). On TriDigits it took the rank
    correlation of attention and Shapley values from 0.65 to 0.76, before anything was trained for that. Where
    a medium disagrees, softplus lets go of it more gently than an exponential: that was 0.01 better still.
    Of a number each medium names a value, and the answer is their mean, weighted by evidence, in the target's
    own unit.
    """

    def __init__(self, width: int, task: Task, dropout: float) -> None:
        super().__init__()
        self.task_type = task.type
        self.net = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(width, task.outputs),
        )
        if task.type != "regression":
            self.routing = nn.Parameter(2 * torch.ones(()))
        self.register_buffer("offset", torch.zeros(()) if task.type == "regression" else prior_logits(task))
        self.register_buffer("scale", torch.ones(()))
        self.offset: Tensor
        self.scale: Tensor

    def set_unit(self, mean: float, deviation: float) -> None:
        """Of a regression's target on the training split."""
        self.offset.fill_(mean)
        self.scale.fill_(deviation)

    @property
    def unit(self) -> float:
        """Size of the numbers it answers: what single precision is relative to."""
        return max(float(self.scale), float(self.offset.abs())) if self.task_type == "regression" else 1.0

    def forward(self, reading: AttentionReading) -> tuple[Tensor, Tensor]:
        """logits_BK, and shares_BM: each medium's part of the evidence; they sum to 1."""
        said_BMK, evidence_BM = self.net(reading.reads_BMD), reading.evidence_BM
        if self.task_type == "regression":
            shares_BM = _shares(evidence_BM)
            return self.offset + self.scale * _weigh(shares_BM, said_BMK), shares_BM
        opinions_BMK = torch.tanh(said_BMK)
        first_BK = self.offset + _weigh(evidence_BM, opinions_BMK)
        evidence_BM = evidence_BM * F.softplus(self.routing * self._agreement(first_BK, opinions_BMK))
        return self.offset + _weigh(evidence_BM, opinions_BMK), _shares(evidence_BM)

    def _agreement(self, first_BK: Tensor, opinions_BMK: Tensor) -> Tensor:
        """[B, M]: the opinion of what is answered, above that of all labels; of tags, the mean over them."""
        if self.task_type == "multilabel":
            return (torch.tanh(first_BK / 2)[:, None] * opinions_BMK).mean(2)
        return (first_BK.softmax(1)[:, None] * opinions_BMK).sum(2) - opinions_BMK.mean(2)

    def prunable(self, name: str) -> Iterator[Group]:
        """The hidden units of its net."""
        yield Group(parts=hidden_units(f"{name}.net", 0, 3))


def _weigh(weights_BM: Tensor, values_BMK: Tensor) -> Tensor:
    return (weights_BM[:, :, None] * values_BMK).sum(1)


def _shares(evidence_BM: Tensor) -> Tensor:
    return evidence_BM / evidence_BM.sum(1, keepdim=True)


def prior_logits(task: Task) -> Tensor:
    """[K]: what the head answers where nothing is evidence of anything; 0 where the task has no prior."""
    shares_K = torch.tensor(task.prior or [0.5] * task.outputs).clamp(RAREST, 1 - RAREST)
    return shares_K.log() if task.type == "classification" else shares_K.logit()
