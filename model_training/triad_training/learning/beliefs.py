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
    """losses_N, score: of what is answered to rows by beliefs that have not seen them either; see Problem."""

    factor_C: F64
    losses_N: F64
    score: float


class Heard(NamedTuple):
    """What is said of some rows, and what they are. folds: parts of them; see Beliefs."""

    said_NCK: F64
    problem: Problem
    folds: Sequence[I64]

    def fixed(self, factor_C: F64) -> Beliefs:
        return self._judged(factor_C, self._answers(factor_C, self.said_NCK))

    def solved(self, prior_C: F64, asked_C: npt.NDArray[np.bool_], deviation: float) -> Beliefs:
        """Those that the prior and the rows make most probable; in voices that are not asked, none."""

        def solve(said_NCK: F64, problem: Problem) -> F64:
            found_C, deviation_C = np.zeros_like(prior_C), np.full(int(asked_C.sum()), deviation)
            found_C[asked_C] = solve_beliefs(said_NCK[:, asked_C], problem, prior_C[asked_C], deviation_C)
            return found_C

        answers_NK = np.zeros((len(self.said_NCK), self.said_NCK.shape[2]))
        for fold in self.folds:
            others = np.setdiff1d(np.arange(len(answers_NK)), fold)
            factor_C = solve(self.said_NCK[others], self.problem.rows(others))
            answers_NK[fold] = self._answers(factor_C, self.said_NCK[fold])
        return self._judged(solve(self.said_NCK, self.problem), answers_NK)

    def _answers(self, factor_C: F64, said_NCK: F64) -> F64:
        return np.asarray(self.problem.offset_K + np.einsum("nck,c->nk", said_NCK, factor_C))

    def _judged(self, factor_C: F64, answers_NK: F64) -> Beliefs:
        score = self.problem.score(answers_NK) if len(answers_NK) else 0.0
        return Beliefs(factor_C, self.problem.losses(answers_NK), score)


def best_of(beliefs: Sequence[Beliefs], gain: float) -> Beliefs:
    """Of those whose loss is not clearly larger than the smallest, the one that scores best.

    What says little, if rightly, hardly changes the loss of uneven classes, and all of the answers.
    """
    least = min(beliefs, key=lambda each: float(each.losses_N.mean()))
    alike = [each for each in beliefs if each is least or unless_needed(each, least, gain) is each]
    return max(alike, key=lambda each: each.score)


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
