"""What a linear model is to answer, and what it is.

Shape letters: N rows, F features, K outputs of a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import f1_score

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import TaskType
from triad_training.layers.expert import F64, Features

# Of the sum of squared weights, from a strong one to a weak one; scaled rows are of norm 1, losses are means.
PENALTIES = tuple(10.0 ** (-np.arange(12) / 2 - 0.5))


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Rows of one task, all labelled.

    targets: as data/labels.targets has them; a number in units of its deviation, from its mean.
    weights_N: how much each row counts, mean 1. offset_K: what is answered where nothing is known.
    """

    type: TaskType
    outputs: int
    targets: F32
    weights_N: F64
    offset_K: F64

    def rows(self, chosen: I64) -> Problem:
        return Problem(
            type=self.type,
            outputs=self.outputs,
            targets=self.targets[chosen],
            weights_N=self.weights_N[chosen],
            offset_K=self.offset_K,
        )

    def score(self, logits_NK: F64) -> float:
        """What the penalty is chosen by: of weighted classes macro F1, of others accuracy, else the loss.

        The loss alone would choose a model that says nothing where there is little to say.
        """
        if self.type != "classification":
            return -self.loss(logits_NK)[0]
        answer_N, right_N = logits_NK.argmax(axis=1), self.targets.astype(np.int64)
        if np.ptp(self.weights_N) == 0:
            return float(np.mean(answer_N == right_N))
        return float(f1_score(right_N, answer_N, average="macro", zero_division=0))

    def positives(self) -> F64:
        """[N, K]: 1 at each row's class or tags, else 0."""
        if self.type == "multilabel":
            return self.targets.astype(np.float64)
        return np.eye(self.outputs)[self.targets.astype(np.int64)]

    def losses(self, logits_NK: F64) -> F64:
        """Of each row, summed over outputs. The logits hold the offset."""
        match self.type:
            case "regression":
                losses_N = 0.5 * (logits_NK[:, 0] - self.targets) ** 2
            case "multilabel":
                losses_N = (np.logaddexp(0, logits_NK) - self.targets * logits_NK).sum(axis=1)
            case "classification":
                right_N = self.targets.astype(np.int64)
                losses_N = -log_softmax(logits_NK, axis=1)[np.arange(len(right_N)), right_N]
        return np.asarray(self.weights_N * losses_N)

    def loss(self, logits_NK: F64) -> tuple[float, F64]:
        """Mean over rows, and its gradient by the logits."""
        match self.type:
            case "regression":
                gradient_NK = (logits_NK[:, 0] - self.targets)[:, None]
            case "multilabel":
                gradient_NK = expit(logits_NK) - self.targets
            case "classification":
                gradient_NK = softmax(logits_NK, axis=1)
                gradient_NK[np.arange(len(logits_NK)), self.targets.astype(np.int64)] -= 1
        mean = float(self.losses(logits_NK).mean())
        return mean, np.asarray(self.weights_N[:, None] * gradient_NK / len(logits_NK))


class Scale(NamedTuple):
    """What turns what a model says into logits above the problem's offset."""

    factor: float
    shift_K: F64


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """logits: features @ weight_FK + bias_K, which the problem's offset is added to."""

    weight_FK: F64
    bias_K: F64

    def logits(self, features: Features) -> F64:
        return np.asarray(features @ self.weight_FK) + self.bias_K

    def scaled(self, scale: Scale) -> LinearModel:
        factor, shift_K = scale
        return LinearModel(weight_FK=factor * self.weight_FK, bias_K=factor * self.bias_K + shift_K)
