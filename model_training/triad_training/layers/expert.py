"""A linear expert: what one kind of features of one medium says of every task, and where it says so.

Its weights are not learnt by gradient steps with the network; learning/linear.py solves for them.
Shape letters: N items, F features, P tokens of an item, T tasks, K outputs of all tasks side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from torch import Tensor, nn

from triad_serving.contract.tasks import Task

F64 = npt.NDArray[np.float64]
Features: TypeAlias = F64 | scipy.sparse.csr_matrix

# Of what a token has to do with an answer; the exporter's optimizer takes a term below 1e-8 for 0.
LEAST_PART = 1e-6
# Added in squares to each feature's deviation. What hardly differs is mostly rounding, which its weight would
# blow up: on toy pictures and pure tones, network and graph were 1.5e-4 apart.
SMALLEST = 1e-3


class ExpertAnswer(NamedTuple):
    """logits_NK: relative to what is answered where nothing is known.

    parts_NPT: how much each token has to do with each task's likeliest output of them; 0 where it is not
    valid, and they sum to 1.
    """

    logits_NK: Tensor
    parts_NPT: Tensor


class Look(NamedTuple):
    """Items of a medium: the graph's inputs, its encoder's tokens, and which of these are valid."""

    inputs: Sequence[Tensor]
    hidden_NPH: Tensor
    mask_NP: Tensor


class Expert(nn.Module, ABC):
    """Weights of all tasks side by side, so that features are read once.

    reads_hidden: whether it needs the tokens of its medium's encoder, and which of them are valid.
    """

    reads_hidden = False

    def __init__(self, tasks: Sequence[Task], rows: int) -> None:
        super().__init__()
        ends = np.cumsum([0, *(task.outputs for task in tasks)]).tolist()
        self.columns = {task.name: slice(*ends[t : t + 2]) for t, task in enumerate(tasks)}
        task_KT = torch.zeros(ends[-1], len(tasks))
        for t, columns in enumerate(self.columns.values()):
            task_KT[columns, t] = 1
        self.register_buffer("task_KT", task_KT, persistent=False)
        self.task_KT: Tensor
        self.weight = nn.Parameter(torch.zeros(rows, ends[-1]), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(ends[-1]), requires_grad=False)

    @abstractmethod
    def read(self, look: Look) -> Features:
        """Features of items as they are before anything is learnt."""

    @abstractmethod
    def stack(self, parts: Sequence[Features]) -> Features:
        """Features of some items, below those of others; of no item where there are none."""

    @abstractmethod
    def learn_scale(self, features: Features) -> None:
        """What makes features of the training split comparable."""

    @abstractmethod
    def scale(self, features: Features) -> Features:
        """As a linear model is fitted on them: the squares of a row sum to 1 or so."""

    @abstractmethod
    def put(self, task: str, weight_FK: F64, bias_K: F64) -> None:
        """The linear model of scaled features."""

    @abstractmethod
    def forward(self, look: Look) -> ExpertAnswer: ...

    def likeliest(self, logits_NK: Tensor) -> Tensor:
        """1 at each task's likeliest output, else 0: [N, K]."""
        parts = [logits_NK[:, columns] for columns in self.columns.values()]
        return torch.cat([(part >= part.amax(1, keepdim=True)).to(part.dtype) for part in parts], dim=1)


class DenseExpert(Expert):
    """Reads a fixed number of features of an item."""

    def __init__(self, tasks: Sequence[Task], size: int, blocks: Sequence[int] = ()) -> None:
        """blocks: sizes of groups of features, each of which counts as much as the others."""
        super().__init__(tasks, size)
        sizes = torch.tensor(blocks or [size])
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("factor", torch.ones(size))
        self.shares = (1 / (sizes * len(sizes))).sqrt().repeat_interleave(sizes)
        self.centre: Tensor
        self.factor: Tensor

    @abstractmethod
    def describe(self, look: Look) -> Tensor:
        """features_NF."""

    @abstractmethod
    def place(self, features_NF: Tensor, look: Look, weight_NFT: Tensor) -> Tensor:
        """parts_NPT that need not sum to 1. features_NF: centred. weight_NFT: of the likeliest outputs."""

    def read(self, look: Look) -> Features:
        return self.describe(look).double().numpy()

    def stack(self, parts: Sequence[Features]) -> Features:
        return np.concatenate([np.zeros((0, len(self.weight))), *parts])

    def learn_scale(self, features: Features) -> None:
        assert isinstance(features, np.ndarray)
        deviation_F = torch.from_numpy(features.std(axis=0))
        self.centre.copy_(torch.from_numpy(features.mean(axis=0)))
        self.factor.copy_(self.shares / (deviation_F**2 + SMALLEST**2).sqrt())

    def scale(self, features: Features) -> Features:
        centre_F, factor_F = self.centre.double().numpy(), self.factor.double().numpy()
        return np.asarray((features - centre_F) * factor_F)

    def put(self, task: str, weight_FK: F64, bias_K: F64) -> None:
        scaled_FK = self.factor.double()[:, None] * torch.from_numpy(weight_FK)
        self.weight[:, self.columns[task]] = scaled_FK.to(self.weight.dtype)
        self.bias[self.columns[task]] = torch.from_numpy(bias_K).to(self.bias.dtype)

    def forward(self, look: Look) -> ExpertAnswer:
        features_NF = self.describe(look) - self.centre
        logits_NK = features_NF @ self.weight + self.bias
        weight_NFT = (self.weight * self.likeliest(logits_NK)[:, None]) @ self.task_KT
        parts_NPT = self.place(features_NF, look, weight_NFT)
        return ExpertAnswer(logits_NK, shares_of(parts_NPT, look.mask_NP))


class PooledExpert(DenseExpert):
    """Reads the mean of a pretrained encoder's tokens, so that each token's part is known."""

    reads_hidden = True

    def describe(self, look: Look) -> Tensor:
        valid_NP1 = look.mask_NP[:, :, None].to(look.hidden_NPH.dtype)
        return (look.hidden_NPH * valid_NP1).sum(1) / valid_NP1.sum(1).clamp(min=1)

    def place(self, features_NF: Tensor, look: Look, weight_NFT: Tensor) -> Tensor:  # noqa: ARG002
        return ((look.hidden_NPH - self.centre) @ weight_NFT).abs()


def shares_of(parts_NPT: Tensor, mask_NP: Tensor) -> Tensor:
    """Summing to 1 over the valid tokens; even where all are 0."""
    valid_NP1 = mask_NP[:, :, None].to(parts_NPT.dtype)
    parts_NPT = (parts_NPT + LEAST_PART) * valid_NP1
    return parts_NPT / parts_NPT.sum(1, keepdim=True).clamp(min=LEAST_PART)
