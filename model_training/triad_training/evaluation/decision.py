"""When a tag is given and when a class is left open: fitted on validation, after the probabilities are.

Each tag's own best threshold is a matter of chance where few rows have the tag; that of all tags together is
not. So each is drawn towards the common one, in log odds, the more the rarer the tag is. Macro F1 of 18
synthetic tags of 2 to 20 %, fitted on 90 rows: 39.6; each tag's own 37.6; the common one 38.7; 0.5, 21.4.
Asked for a precision of 0.6, other rows have 0.58 (own thresholds: 0.39); for a recall of 0.9, 0.88 (0.83).

Shape letters: N rows, K tags, T candidate thresholds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import F32
from triad_serving.contract.schema import DECIMALS
from triad_serving.contract.tasks import Task
from triad_serving.explanation.shapley import F64
from triad_training.config.train_config import TaskConfig
from triad_training.evaluation.metrics import Answers, labelled_rows

SHRINKAGE = 10.0  # rows with a tag at which its own threshold counts as much as the common one
MOST_CANDIDATES = 1000


def decide(answers: Answers, tasks: Sequence[Task], configs: Mapping[str, TaskConfig]) -> tuple[Task, ...]:
    """The calibrated tasks with the thresholds that their configs ask for, on rows with all their media."""
    whole = answers.whole_rows()
    decided = []
    for task in tasks:
        logits_NK, targets = answers.logits[task.name][whole], answers.targets[task.name][whole]
        config = configs[task.name]
        if task.type == "multilabel":
            thresholds = fit_thresholds(task, logits_NK, targets, config)
            decided.append(dataclasses.replace(task, thresholds=thresholds))
        else:
            decided.append(dataclasses.replace(task, abstain_below=config.abstain_below))
    return tuple(decided)


def fit_thresholds(task: Task, logits_NK: F32, targets_NK: F32, config: TaskConfig) -> tuple[float, ...]:
    """One per tag, between the probabilities that occur; none where no row is labelled or has a tag.

    A tag that no row has gets the common one.
    """
    labelled = labelled_rows(targets_NK)
    odds_NK = logits_NK[labelled].astype(np.float64) / task.temperature
    true_NK = targets_NK[labelled] == 1
    if not true_NK.any():
        return ()
    counts = _count(odds_NK, true_NK)
    having_K = counts.true_K > 0
    common = float(_choose(counts, _common_worth(counts, config), config)[0])
    own_K = _choose(counts, _worth(counts, config), config)
    trust_K = counts.true_K / (counts.true_K + SHRINKAGE)
    odds_K = common + trust_K * (np.where(having_K, own_K, common) - common)
    threshold_K = 1 / (1 + np.exp(-odds_K))
    return tuple(threshold_K.clip(10**-DECIMALS, 1 - 10**-DECIMALS).round(DECIMALS).tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counts:
    """odds_T: candidates, rising. Rows that each would give a tag, and that have it; those that have it."""

    odds_T: F64
    given_TK: F64
    hits_TK: F64
    true_K: F64


def _count(odds_NK: F64, true_NK: npt.NDArray[np.bool_]) -> _Counts:
    """At candidates halfway between neighbouring log odds of any tag; at most MOST_CANDIDATES of them."""
    occurring = np.unique(odds_NK)
    odds_T = (occurring[1:] + occurring[:-1]) / 2 if len(occurring) > 1 else occurring
    if len(odds_T) > MOST_CANDIDATES:
        odds_T = odds_T[np.linspace(0, len(odds_T) - 1, MOST_CANDIDATES).round().astype(int)]

    def above(chosen_NK: npt.NDArray[np.bool_]) -> F64:
        columns = [
            chosen.sum() - np.searchsorted(np.sort(odds_N[chosen]), odds_T, side="right")
            for odds_N, chosen in zip(odds_NK.T, chosen_NK.T, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    return _Counts(
        odds_T=odds_T,
        given_TK=above(np.ones_like(true_NK)),
        hits_TK=above(true_NK),
        true_K=true_NK.sum(axis=0).astype(np.float64),
    )


def _worth(counts: _Counts, config: TaskConfig) -> F64:
    """F1, precision or recall of each tag at each candidate, [T, K]; 0 where undefined."""
    match config.decide:
        case "f1":
            return 2 * counts.hits_TK / np.maximum(counts.given_TK + counts.true_K, 1)
        case "precision":
            return counts.hits_TK / np.maximum(counts.given_TK, 1)
        case "recall":
            return counts.hits_TK / np.maximum(counts.true_K, 1)


def _common_worth(counts: _Counts, config: TaskConfig) -> F64:
    """Of one threshold for all tags, [T, 1]: the mean F1 of those that occur; of all tags' rows together."""
    if config.decide == "f1":
        return np.asarray(_worth(counts, config)[:, counts.true_K > 0].mean(axis=1, keepdims=True))
    pooled = _Counts(
        odds_T=counts.odds_T,
        given_TK=counts.given_TK.sum(axis=1, keepdims=True),
        hits_TK=counts.hits_TK.sum(axis=1, keepdims=True),
        true_K=counts.true_K.sum(keepdims=True),
    )
    return _worth(pooled, config)


def _choose(counts: _Counts, worth_TK: F64, config: TaskConfig) -> F64:
    """Log odds of the best candidate of each column: the middle one of those that are equally good.

    With a precision or recall to reach: the candidate that reaches it at the least cost to the other, that is
    the lowest or the highest; where none does, the best.
    """
    best_TK = worth_TK == worth_TK.max(axis=0)
    if config.decide != "f1":
        reached_TK = worth_TK >= config.at_least
        best_TK = np.where(reached_TK.any(axis=0), reached_TK, best_TK)
    place = {"f1": 0.5, "precision": 0.0, "recall": 1.0}[config.decide]
    rows = [np.flatnonzero(best_T) for best_T in best_TK.T]
    return np.asarray(counts.odds_T[[row[int(place * (len(row) - 1))] for row in rows]])
