"""Columns that give a target away, and columns that say the same."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from triad_training.inspection.labels import Labels
from triad_training.media.column import Column

PURE = 0.98  # share of rows whose target follows from the column's value
CORRELATED = 0.98  # of two numbers, either way
MOST_VALUES = 0.2  # of the rows: a column with more different values names rows, and every one is pure
ENOUGH = 10  # rows with both, to say anything


def says_the_same(column: Column, other: Column) -> bool:
    """Whether each value of one stands with one value of the other, in both directions."""
    pairs = set(_both(column, other))
    return 1 < len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and len(
        pairs
    ) <= MOST_VALUES * len(_both(column, other))


def gives_away(column: Column, target: Labels) -> bool:
    """Whether a column is nearly a copy of what shall be answered."""
    pairs = _both(column, target.column)
    if len(pairs) < ENOUGH:
        return False
    if target.type == "regression":
        return column.numbers is not None and _correlate(pairs)
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for value, answer in pairs:
        answers[value][answer] += 1
    if len(answers) > MOST_VALUES * len(pairs):
        return False
    pure = sum(max(counts.values()) for counts in answers.values())
    usual = max(Counter(answer for _, answer in pairs).values())
    return pure >= PURE * len(pairs) and pure > usual


def _correlate(pairs: list[tuple[str, str]]) -> bool:
    values, targets = np.array(pairs, dtype=float).T
    if not (values.std() and targets.std()):
        return False
    return bool(abs(np.corrcoef(values, targets)[0, 1]) >= CORRELATED)


def _both(column: Column, other: Column) -> list[tuple[str, str]]:
    return [(a, b) for a, b in zip(column.cells, other.cells, strict=True) if a and b]
