"""Columns that say which rows train and test, and which rows belong together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from triad_training.data.splits import SPLITS, split_named
from triad_training.media.column import Column

GROUP_NAMES = (
    *("patient", "speaker", "user", "customer", "client", "person", "subject", "author", "page", "document"),
    *("session", "family", "device", "group", "participant", "account", "household", "donor"),
)
FEWEST_GROUPS = 5  # fewer cannot be split in three
MOST_OTHERS = 5  # splits beside the three


def split_columns(columns: Sequence[Column]) -> list[Column]:
    """Those of which every cell names a split, and that name all three; the one called split first.

    It may name a few others, which are tested on, too.
    """
    found = []
    for column in columns:
        named = {split_named(value) for value in column.counts}
        others = MOST_OTHERS if column.is_named("split") else 0
        if (
            named >= set(SPLITS)
            and len(more_splits(column)) <= others
            and len(column.filled) == len(column.cells)
        ):
            found.append(column)
    return sorted(found, key=lambda column: column.name.lower() != "split")


def more_splits(column: Column) -> list[str]:
    """What it calls other splits than the three."""
    return sorted(value for value in column.counts if split_named(value) is None)


def half_split_columns(columns: Sequence[Column]) -> list[Column]:
    """Those that name splits, but not all three: of no use as they are."""
    found = []
    for column in columns:
        named = {split_named(value) for value in column.counts}
        if column.counts and None not in named and "train" in named and named != set(SPLITS):
            found.append(column)
    return found


def group_columns(columns: Sequence[Column]) -> list[Column]:
    """Those of an identifier that several rows share: their rows are alike, and must stand in one split."""
    return [
        column
        for column in columns
        if column.distinct >= FEWEST_GROUPS
        and column.distinct < 0.9 * len(column.filled)
        and (column.is_named(*GROUP_NAMES) or _is_identifier(column))
    ]


def respects(column: Column, split: Column) -> bool:
    """Whether no group stands in two splits."""
    pairs = {(a, split_named(b) or b) for a, b in zip(column.cells, split.cells, strict=True) if a}
    return len(pairs) == column.distinct


def names_rows(column: Column) -> bool:
    """Whether it tells rows apart and nothing else: an identifier, a running number."""
    if column.distinct < max(len(column.filled), 2):
        return False
    numbers = column.numbers
    if numbers is None or column.is_named("id", "index", "uuid", "idx", "unnamed"):
        return True
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    return steps == {1.0}


def _is_identifier(column: Column) -> bool:
    return column.is_named("id") and 2 * column.distinct <= len(column.filled)
