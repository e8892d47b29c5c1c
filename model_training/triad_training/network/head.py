"""A task's answer from what its attention read in each medium, and from what linear experts say.

Shape letters: B rows, M media, E linear experts, S subsets of media, D width, K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_training.layers.prunable import Group, hidden_units
from triad_training.network.fusion import AttentionReading

BELIEFS = ("trust_SM", "expert_trust_SE")
SMALL = 1e-6  # of evidence
RAREST = 1e-3  # share below which a class's prior is not believed: a few examples do not prove it rarer


class Said(NamedTuple):
    """said_BMK: what each medium adds to the answer. sizes_BM: how much that is, 0 where absent."""

    said_BMK: Tensor
    sizes_BM: Tensor


class HeadAnswer(NamedTuple):
    """shares_BM, expert_shares_BE: of what the network's own reading of each medium and each linear expert
    add to the answer; together they sum to 1."""

    logits_BK: Tensor
    shares_BM: Tensor
    expert_shares_BE: Tensor


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

    What linear experts say of a medium is added likewise. How far the network and each expert are believed
    depends on which media are there, and is solved for on rows that they have not seen (learning/blend.py):
    so no medium can drag another down.
    """

    def __init__(self, width: int, task: Task, dropout: float, *, media: int, experts: int) -> None:
        """media: that the model reads. experts: of all of them."""
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
        # Rows: subsets of the media, by the number of which each medium is a bit.
        self.register_buffer("trust_SM", torch.ones(1 << media, media))
        self._hold_expert_trust(torch.zeros(1 << media, experts))
        self.offset: Tensor
        self.scale: Tensor
        self.trust_SM: Tensor
        self.expert_trust_SE: Tensor

    def set_unit(self, mean: float, deviation: float) -> None:
        """Of a regression's target on the training split."""
        self.offset.fill_(mean)
        self.scale.fill_(deviation)

    @property
    def unit(self) -> float:
        """Size of the numbers it answers: what single precision is relative to."""
        return max(float(self.scale), float(self.offset.abs())) if self.task_type == "regression" else 1.0

    def keep_experts(self, places: Sequence[int]) -> None:
        """Those at these places among all."""
        self._hold_expert_trust(self.expert_trust_SE[:, list(places)].clone())

    def _hold_expert_trust(self, trust_SE: Tensor) -> None:
        """A checkpoint leaves out empty arrays, and then misses them."""
        self.register_buffer("expert_trust_SE", trust_SE, persistent=trust_SE.numel() > 0)

    def say(self, reading: AttentionReading) -> Said:
        """What the network's own reading of each medium adds to the offset, of a regression in its scale."""
        said_BMK, evidence_BM = self.net(reading.reads_BMD), reading.evidence_BM
        if self.task_type == "regression":
            shares_BM = evidence_BM / evidence_BM.sum(1, keepdim=True)
            return Said(shares_BM[:, :, None] * said_BMK, shares_BM)
        opinions_BMK = torch.tanh(said_BMK)
        first_BK = self.offset + (evidence_BM[:, :, None] * opinions_BMK).sum(1)
        evidence_BM = evidence_BM * F.softplus(self.routing * self._agreement(first_BK, opinions_BMK))
        return Said(evidence_BM[:, :, None] * opinions_BMK, evidence_BM)

    def forward(
        self,
        reading: AttentionReading,
        subset_B: Tensor,
        places: Sequence[int],
        experts_BEK: Tensor | None = None,
    ) -> HeadAnswer:
        """subset_B: which of the model's media each row has, a bit each. places: of the reading's media among
        the model's. experts_BEK: what linear experts say, zeros where their medium is absent."""
        said = self.say(reading)
        columns = torch.tensor(places, device=subset_B.device)
        trust_BM = self.trust_SM.index_select(1, columns).index_select(0, subset_B)
        added_BK = (trust_BM[:, :, None] * said.said_BMK).sum(1)
        sizes_BM = trust_BM * said.sizes_BM
        expert_sizes_BE = sizes_BM[:, :0]
        if experts_BEK is not None:
            believed_BEK = self.expert_trust_SE.index_select(0, subset_B)[:, :, None] * experts_BEK
            added_BK = added_BK + believed_BEK.sum(1)
            expert_sizes_BE = self._size(believed_BEK)
        sizes_BM = sizes_BM + SMALL * (said.sizes_BM > 0).to(sizes_BM.dtype)  # where nothing says anything
        total_B1 = sizes_BM.sum(1, keepdim=True) + expert_sizes_BE.sum(1, keepdim=True)
        logits_BK = self.offset + self.scale * added_BK
        return HeadAnswer(logits_BK, sizes_BM / total_B1, expert_sizes_BE / total_B1)

    def _size(self, said_BEK: Tensor) -> Tensor:
        """[B, E]: in the measure of evidence: the opinion on which it falls is at most 1."""
        if self.task_type == "classification":
            return (said_BEK.amax(2) - said_BEK.amin(2)) / 2
        return said_BEK.abs().amax(2)

    def _agreement(self, first_BK: Tensor, opinions_BMK: Tensor) -> Tensor:
        """[B, M]: the opinion of what is answered, above that of all labels; of tags, the mean over them."""
        if self.task_type == "multilabel":
            return (torch.tanh(first_BK / 2)[:, None] * opinions_BMK).mean(2)
        return (first_BK.softmax(1)[:, None] * opinions_BMK).sum(2) - opinions_BMK.mean(2)

    def prunable(self, name: str) -> Iterator[Group]:
        """The hidden units of its net."""
        yield Group(parts=hidden_units(f"{name}.net", 0, 3))


def prior_logits(task: Task) -> Tensor:
    """[K]: what the head answers where nothing is evidence of anything; 0 where the task has no prior."""
    shares_K = torch.tensor(task.prior or [0.5] * task.outputs).clamp(RAREST, 1 - RAREST)
    return shares_K.log() if task.type == "classification" else shares_K.logit()
