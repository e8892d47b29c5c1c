"""How far several voices are to be believed, by rows that none of them has seen.

Shape letters: N rows, C contributions (of voices), K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize

from triad_serving.contract.arrays import I64
from triad_training.layers.expert import F64
from triad_training.learning.problem import Problem


class Beliefs(NamedTuple):
    """losses_N: of rows by beliefs that have not seen them either."""

    factor_C: F64
    losses_N: F64


class Heard(NamedTuple):
    """What is said of some rows, and what they are. folds: parts of them; see Beliefs."""

    said_NCK: F64
    problem: Problem
    folds: Sequence[I64]

    def fixed(self, factor_C: F64) -> Beliefs:
        return Beliefs(factor_C, self._losses(factor_C, self.problem, self.said_NCK))

    def solved(self, prior_C: F64, asked_C: npt.NDArray[np.bool_], deviation: float) -> Beliefs:
        """Those that the prior and the rows make most probable; in voices that are not asked, none."""

        def solve(said_NCK: F64, problem: Problem) -> F64:
            found_C, deviation_C = np.zeros_like(prior_C), np.full(int(asked_C.sum()), deviation)
            found_C[asked_C] = solve_beliefs(said_NCK[:, asked_C], problem, prior_C[asked_C], deviation_C)
            return found_C

        losses_N = np.zeros(len(self.said_NCK))
        for fold in self.folds:
            others = np.setdiff1d(np.arange(len(losses_N)), fold)
            factor_C = solve(self.said_NCK[others], self.problem.rows(others))
            losses_N[fold] = self._losses(factor_C, self.problem.rows(fold), self.said_NCK[fold])
        return Beliefs(solve(self.said_NCK, self.problem), losses_N)

    @staticmethod
    def _losses(factor_C: F64, problem: Problem, said_NCK: F64) -> F64:
        return problem.losses(problem.offset_K + np.einsum("nck,c->nk", said_NCK, factor_C))


def unless_needed(simple: Beliefs, rich: Beliefs, gain: float) -> Beliefs:
    """The simple ones, unless the rich ones' loss is smaller by more than `gain` standard errors."""
    if not len(simple.losses_N):
        return simple
    gain_N = simple.losses_N - rich.losses_N
    return rich if gain_N.mean() > gain * float(gain_N.std()) / np.sqrt(len(gain_N)) else simple


def solve_beliefs(parts_NCK: F64, problem: Problem, prior_C: F64, deviation_C: F64) -> F64:
    """[C], none below 0: the most probable factors of what is said, by the rows and a normal prior."""
    count = len(parts_NCK)
    if not count:
        return prior_C

    def loss(factor_C: F64) -> tuple[float, F64]:
        value, gradient_NK = problem.loss(problem.offset_K + np.einsum("nck,c->nk", parts_NCK, factor_C))
        away_C = (factor_C - prior_C) / deviation_C
        value += 0.5 * float((away_C**2).sum()) / count
        return value, np.einsum("nck,nk->c", parts_NCK, gradient_NK) + away_C / deviation_C / count

    bounds = [(0, None)] * len(prior_C)
    return np.asarray(scipy.optimize.minimize(loss, prior_C, jac=True, method="L-BFGS-B", bounds=bounds).x)
