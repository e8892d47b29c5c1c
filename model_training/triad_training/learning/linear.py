"""Linear models, solved for: logistic regression of classes and tags, ridge regression of numbers.

Shape letters: N rows, F features, K outputs of a task, R directions in which rows differ; of folds: U units
that stay together, F folds, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import f1_score

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import Task, TaskType
from triad_training.layers.expert import F64, Features

# Of the sum of squared weights, from a strong one to a weak one; scaled rows are of norm 1, losses are means.
PENALTIES = tuple(10.0 ** (-np.arange(12) / 2 - 0.5))
FOLDS, FOLDS_OF_MANY = 5, 2
ROTATED = 2500  # rows, and fewer than features: solved in the space that the rows span; more are many
PATIENCE = 3  # weaker penalties that are tried past the one of the smallest loss
CURVATURE = 0.25  # of the logistic loss at most
MAX_STEPS = 100
TOLERANCE = 1e-5  # of the gradient's largest entry


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


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """logits: features @ weight_FK + bias_K, which the problem's offset is added to."""

    weight_FK: F64
    bias_K: F64

    def logits(self, features: Features) -> F64:
        return np.asarray(features @ self.weight_FK) + self.bias_K


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """model: of all rows. unseen_NK: logits of each row by a model that has not seen it."""

    model: LinearModel
    unseen_NK: F64
    penalty: float


def fit_linear(features: Features, problem: Problem, folds: Sequence[I64]) -> Fitted:
    """With the penalty under which rows that a model has not seen are answered best.

    folds: the rows of each, together all of them.
    """
    space = _Space(features)
    count = len(problem.targets)
    seen = [np.setdiff1d(np.arange(count), fold) for fold in folds]
    paths = [_path(space.rows[rows], problem.rows(rows)) for rows in seen]
    losses, scores, unseen = list[float](), list[float](), list[F64]()
    for models in zip(*paths, strict=True):
        unseen_NK = np.zeros((count, problem.outputs))
        for fold, model in zip(folds, models, strict=True):
            unseen_NK[fold] = model.logits(space.rows[fold])
        losses.append(problem.loss(problem.offset_K + unseen_NK)[0])
        scores.append(problem.score(problem.offset_K + unseen_NK))
        unseen.append(unseen_NK)
        if min(losses) < min(losses[-PATIENCE:]):
            break
    best = int(np.argmax(scores))
    *_, model = _path(space.rows, problem, PENALTIES[: best + 1])
    return Fitted(model=space.back(model), unseen_NK=unseen[best], penalty=PENALTIES[best])


def draw_folds(task: Task, targets: F32, groups: Sequence[str], *, seed: int) -> list[I64]:
    """Parts of rows, alike in classes where that can be; rows of a group (not "") stay together.

    Where all are one group, they cannot. The largest groups are dealt first, each to the fold with the fewest
    rows of its class, and the fewest rows. (scikit-learn's stratified folds refuse or warn of rare classes.)
    """
    count = len(targets)
    unit_N = np.unique([group or f"row {n}" for n, group in enumerate(groups)], return_inverse=True)[1]
    if unit_N.max(initial=0) == 0:
        unit_N = np.arange(count)
    class_N = targets.astype(np.int64) if task.type == "classification" else np.zeros(count, np.int64)
    first_U, size_U = np.unique(unit_N, return_index=True, return_counts=True)[1:]
    order = np.random.default_rng(seed).permutation(len(size_U))
    fold_U = np.zeros(len(size_U), np.int64)
    rows_FC = np.zeros(
        (min(FOLDS if count <= ROTATED else FOLDS_OF_MANY, len(size_U)), class_N.max(initial=0) + 1), np.int64
    )
    for unit in order[np.argsort(-size_U[order], kind="stable")]:
        kind = class_N[first_U[unit]]
        fold = np.lexsort((rows_FC.sum(axis=1), rows_FC[:, kind]))[0]
        fold_U[unit] = fold
        rows_FC[fold, kind] += size_U[unit]
    return [np.flatnonzero(fold_U[unit_N] == fold) for fold in range(len(rows_FC))]


class _Space:
    """Rows as they are, or turned into the few directions in which they differ: the same models, sooner.

    With a penalty on squares the weights lie in the span of the rows, and do not change under rotation.
    """

    def __init__(self, features: Features) -> None:
        count, size = features.shape
        self.features = features
        self.turn_NR: F64 | None = None
        self.rows: Features = features
        if size > count and count <= ROTATED:
            gram_NN = features @ features.T
            gram_NN = gram_NN if isinstance(gram_NN, np.ndarray) else gram_NN.toarray()
            square_R, vectors_NR = scipy.linalg.eigh(gram_NN)
            kept = square_R > 1e-9 * square_R[-1]
            size_R = np.sqrt(square_R[kept])
            self.rows = vectors_NR[:, kept] * size_R
            self.turn_NR = vectors_NR[:, kept] / size_R

    def back(self, model: LinearModel) -> LinearModel:
        """For the features that came in."""
        if self.turn_NR is None:
            return model
        weight_FK = np.asarray(self.features.T @ (self.turn_NR @ model.weight_FK))
        return LinearModel(weight_FK=weight_FK, bias_K=model.bias_K)


def _path(
    features: Features, problem: Problem, penalties: Sequence[float] = PENALTIES
) -> Iterator[LinearModel]:
    """A model for each penalty, each from where the one before ended."""
    size, outputs = features.shape[1], problem.outputs
    turned = features.T if isinstance(features, np.ndarray) else features.T.tocsr()
    squares = features**2 if isinstance(features, np.ndarray) else features.multiply(features)
    square_F = np.asarray(squares.mean(axis=0)).ravel()
    solution = np.zeros((size + 1, outputs))
    for penalty in penalties:
        # In units in which every direction curves alike ten steps are enough: a third of the time.
        unit_F1 = 1 / np.sqrt(np.append(CURVATURE * square_F + penalty, CURVATURE))[:, None]

        def loss(flat: F64, penalty: float = penalty, unit_F1: F64 = unit_F1) -> tuple[float, F64]:
            weight_FK, bias_1K = np.split(unit_F1 * flat.reshape(-1, outputs), [size])
            logits_NK = np.asarray(features @ weight_FK) + bias_1K + problem.offset_K
            value, gradient_NK = problem.loss(logits_NK)
            gradient_FK = np.asarray(turned @ gradient_NK) + penalty * weight_FK
            gradient = np.concatenate([gradient_FK, gradient_NK.sum(axis=0, keepdims=True)])
            return value + 0.5 * penalty * float((weight_FK**2).sum()), (unit_F1 * gradient).ravel()

        found = scipy.optimize.minimize(
            loss,
            (solution / unit_F1).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_STEPS, "gtol": TOLERANCE},
        )
        solution = unit_F1 * found.x.reshape(-1, outputs)
        weight_FK, bias_1K = np.split(solution, [size])
        yield LinearModel(weight_FK=weight_FK, bias_K=bias_1K[0])
