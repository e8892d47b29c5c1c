"""Linear models, solved for: logistic regression of classes and tags, ridge regression of numbers.

Where many rows have a few each of very many features, see margins.py.

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
from threadpoolctl import threadpool_limits

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import Task
from triad_training.layers.expert import F64, Features
from triad_training.learning.margins import logits_of_margins, margin_path
from triad_training.learning.problem import PENALTIES, LinearModel, Problem, Scale

FOLDS, FOLDS_OF_MANY = 5, 2
ROTATED = 2500  # rows, and fewer than features: solved in the space that the rows span; more are many
PATIENCE = 3  # weaker penalties that are tried past the one of the smallest loss
CURVATURE = 0.25  # of the logistic loss at most
MAX_STEPS = 100
TOLERANCE = 1e-5  # of the gradient's largest entry


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """model: of all rows. unseen_NK: logits of each row by a model that has not seen it."""

    model: LinearModel
    unseen_NK: F64
    penalty: float


def fit_linear(features: Features, problem: Problem, folds: Sequence[I64]) -> Fitted:
    """With the penalty under which rows that a model has not seen are answered best.

    folds: the rows of each, together all of them. On one thread: two wait for each other in so small products
    (850 rows, 3000 features, 18 tags: 11 s in place of 4).
    """
    with threadpool_limits(limits=1, user_api="blas"):
        return _fit(features, problem, folds)


def _fit(features: Features, problem: Problem, folds: Sequence[I64]) -> Fitted:
    space = _Space(features)
    many_words = isinstance(space.rows, scipy.sparse.csr_matrix) and problem.type != "regression"
    path, logits_of = (margin_path, logits_of_margins) if many_words else (_path, _as_they_are)
    count = len(problem.targets)
    seen = [np.setdiff1d(np.arange(count), fold) for fold in folds]
    paths = [path(space.rows[rows], problem.rows(rows), PENALTIES) for rows in seen]
    losses, scores, unseen, scales = list[float](), list[float](), list[F64](), list[Scale]()
    for models in zip(*paths, strict=True):
        said_NK = np.zeros((count, problem.outputs))
        for fold, model in zip(folds, models, strict=True):
            said_NK[fold] = model.logits(space.rows[fold])
        scales.append(logits_of(said_NK, problem))
        unseen.append(scales[-1].factor * said_NK + scales[-1].shift_K)
        losses.append(problem.loss(problem.offset_K + unseen[-1])[0])
        scores.append(problem.score(problem.offset_K + unseen[-1]))
        if min(losses) < min(losses[-PATIENCE:]):
            break
    best = int(np.argmax(scores))
    first = best if many_words else 0  # machines do not start from the one before
    *_, model = path(space.rows, problem, PENALTIES[first : best + 1])
    whole = space.back(model.scaled(scales[best]))
    return Fitted(model=whole, unseen_NK=unseen[best], penalty=PENALTIES[best])


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


def _as_they_are(said_NK: F64, problem: Problem) -> Scale:  # noqa: ARG001
    """What logistic and ridge regression say."""
    return Scale(1.0, np.zeros_like(problem.offset_K))


def _path(features: Features, problem: Problem, penalties: Sequence[float]) -> Iterator[LinearModel]:
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
