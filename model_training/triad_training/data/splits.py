"""Splits: which rows train, choose and test, so that the test stays honest.

Two rows that share something (an image or sound by content, a text alone, a patient or speaker) have an
identity in common, and stand in the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, TypeAlias, get_args

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
Identity: TypeAlias = tuple[str, bytes]  # what is shared (image, audio, text, the group's column); its value


def split_named(written: str, more: Collection[str] = ()) -> str | None:
    """One of SPLITS by any of its usual names, or one of `more`; None where it is neither."""
    return SPLIT_NAMES.get(written.lower(), written if written in more else None)


def find_leaks(
    lines: Sequence[int], splits: Sequence[str], identities: Sequence[Collection[Identity]]
) -> list[str]:
    """Problems: rows of different splits that share an identity. Each argument has one entry per row."""
    first: dict[Identity, tuple[int, str]] = {}
    problems = []
    for line, split, shared in zip(lines, splits, identities, strict=True):
        for identity in shared:
            other_line, other_split = first.setdefault(identity, (line, split))
            if other_split != split:
                problems.append(
                    f"line {line}: its {identity[0]} is in the {split} split and, "
                    f"at line {other_line}, in the {other_split} split"
                )
    return problems


def draw_splits(
    identities: Sequence[Collection[Identity]],
    labels: Sequence[Collection[str]],
    *,
    shares: Sequence[float],
    seed: int,
) -> list[Split]:
    """A split for every row: in these shares, alike in each mixture of labels, by a hash of the rows.

    identities: of each row, at least one. labels: of all its tasks. shares: of SPLITS, in their order.
    Neither the order of the rows nor where their files lie matters. The first rows with a label train, so
    that no label is left to the test alone.
    """
    units = sorted(
        (min(_hash(identity, seed) for n in unit for identity in identities[n]), unit)
        for unit in _units(identities)
    )
    mixture = {unit: sorted({label for n in unit for label in labels[n]}) for _, unit in units}
    splits: list[Split] = ["train"] * len(labels)
    wanted = dict(zip(SPLITS, shares, strict=True))
    counts = dict.fromkeys(SPLITS, 0)
    seen: set[str] = set()
    for _, unit in sorted(units, key=lambda entry: mixture[entry[1]]):
        placed = sum(counts.values()) + len(unit)
        split = max(SPLITS, key=lambda name: wanted[name] * placed - counts[name])
        if not seen.issuperset(mixture[unit]):
            split = "train"
            seen.update(mixture[unit])
        counts[split] += len(unit)
        for n in unit:
            splits[n] = split
    return splits


def _units(identities: Sequence[Collection[Identity]]) -> Iterable[tuple[int, ...]]:
    """Rows that belong together, directly or through others: union-find."""
    parent = list(range(len(identities)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[Identity, int] = {}
    for n, shared in enumerate(identities):
        for identity in shared:
            parent[root(n)] = root(first.setdefault(identity, n))
    units: dict[int, list[int]] = {}
    for n in range(len(identities)):
        units.setdefault(root(n), []).append(n)
    return map(tuple, units.values())


def _hash(identity: Identity, seed: int) -> bytes:
    what, value = identity
    return hashlib.sha256(f"{seed} {what} ".encode() + value).digest()
