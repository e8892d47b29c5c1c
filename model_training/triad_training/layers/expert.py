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

LEAST_PART = 1e-12  # of what a token has to do with an answer: smaller ones are rounding
SMALLEST = 1e-6  # deviation of a feature that says anything


class ExpertAnswer(NamedTuple):
    """logits_NK: relative to what is answered where nothing is known. parts_NPT: how much each token has to do
    with each task's likeliest output of them; 0 where it is not valid, and they sum to 1."""

    logits_NK: Tensor
    parts_NPT: Tensor


class Expert(nn.Module, ABC):
    """Weights of all tasks side by side, so that features are read once.

    reads_hidden: whether it needs the tokens of its medium's encoder, and which of them are valid.
    """

    reads_hidden = False

    def __init__(self, tasks: Sequence[Task], rows: int) -> None:
        super().__init__()
        ends = np.cumsum([0, *(task.outputs for task in tasks)])
        self.columns = {task.name: slice(*ends[i : i + 2]) for i, task in enumerate(tasks)}
        task_KT = torch.zeros(int(ends[-1]), len(tasks))
        for t, columns in enumerate(self.columns.values()):
            task_KT[columns, t] = 1
        self.register_buffer("task_KT", task_KT, persistent=False)
        self.task_KT: Tensor
        self.weight = nn.Parameter(torch.zeros(rows, int(ends[-1])), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(int(ends[-1])), requires_grad=False)

    @abstractmethod
    def read(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> Features:
        """Features of items as they are before anything is learnt. See forward."""

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
    def forward(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> ExpertAnswer:
        """inputs: of the graph, of this medium. hidden_NPH: its encoder's tokens."""

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
    def describe(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> Tensor:
        """features_NF."""

    def place(
        self, features_NF: Tensor, hidden_NPH: Tensor, mask_NP: Tensor, weight_NFT: Tensor
    ) -> Tensor:
        """Not yet summing to 1, [N, P, T]. weight_NFT: of each task's likeliest output; here nothing is known
        of where in the item a feature comes from."""
        return mask_NP[:, :, None].to(features_NF.dtype).expand(-1, -1, weight_NFT.shape[2])

    def read(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> Features:
        return self.describe(inputs, hidden_NPH, mask_NP).double().numpy()

    def stack(self, parts: Sequence[Features]) -> Features:
        return np.concatenate([np.zeros((0, len(self.weight))), *parts])

    def learn_scale(self, features: Features) -> None:
        assert isinstance(features, np.ndarray)
        deviation_F = torch.from_numpy(features.std(axis=0))
        self.centre.copy_(torch.from_numpy(features.mean(axis=0)))
        self.factor.copy_(torch.where(deviation_F > SMALLEST, self.shares / deviation_F, 0.0))

    def scale(self, features: Features) -> Features:
        return np.asarray((features - self.centre.double().numpy()) * self.factor.double().numpy())

    def put(self, task: str, weight_FK: F64, bias_K: F64) -> None:
        scaled_FK = self.factor.double()[:, None] * torch.from_numpy(weight_FK)
        self.weight[:, self.columns[task]] = scaled_FK.to(self.weight.dtype)
        self.bias[self.columns[task]] = torch.from_numpy(bias_K).to(self.bias.dtype)

    def forward(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> ExpertAnswer:
        features_NF = self.describe(inputs, hidden_NPH, mask_NP) - self.centre
        logits_NK = features_NF @ self.weight + self.bias
        weight_NFT = (self.weight * self.likeliest(logits_NK)[:, None]) @ self.task_KT
        parts_NPT = self.place(features_NF, hidden_NPH, mask_NP, weight_NFT)
        return ExpertAnswer(logits_NK, shares_of(parts_NPT, mask_NP))


class PooledExpert(DenseExpert):
    """Reads the mean of a pretrained encoder's tokens, so that each token's part is known."""

    reads_hidden = True

    def describe(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> Tensor:
        valid_NP1 = mask_NP[:, :, None].to(hidden_NPH.dtype)
        return (hidden_NPH * valid_NP1).sum(1) / valid_NP1.sum(1).clamp(min=1)

    def place(
        self, features_NF: Tensor, hidden_NPH: Tensor, mask_NP: Tensor, weight_NFT: Tensor
    ) -> Tensor:
        return ((hidden_NPH - self.centre) @ weight_NFT).abs()


def shares_of(parts_NPT: Tensor, mask_NP: Tensor) -> Tensor:
    """Summing to 1 over the valid tokens; even where all are 0."""
    valid_NP1 = mask_NP[:, :, None].to(parts_NPT.dtype)
    parts_NPT = (parts_NPT + LEAST_PART) * valid_NP1
    return parts_NPT / parts_NPT.sum(1, keepdim=True).clamp(min=LEAST_PART)
