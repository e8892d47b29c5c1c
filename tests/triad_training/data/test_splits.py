"""Drawn splits: their shares, their honesty, and what they do not depend on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from triad_training.data.splits import Identity, Split, draw_splits, find_leaks

SHARES = (0.8, 0.1, 0.1)


def singles(count: int) -> list[list[Identity]]:
    return [[("image", str(n).encode())] for n in range(count)]


def draw(
    identities: Sequence[Sequence[Identity]], labels: Sequence[Sequence[str]], *, seed: int = 0
) -> list[Split]:
    return draw_splits(identities, labels, shares=SHARES, seed=seed)


def test_every_label_is_split_in_the_same_shares() -> None:
    labels = [["kind rare"] if n % 10 == 0 else ["kind common"] for n in range(1000)]
    counts = Counter(zip((label for [label] in labels), draw(singles(1000), labels), strict=True))
    for label, total in (("kind rare", 100), ("kind common", 900)):
        for split, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
            assert counts[label, split] == pytest.approx(share * total, abs=2)


def test_a_row_keeps_its_split_wherever_it_stands_until_the_seed_changes() -> None:
    identities, labels = singles(300), [[f"kind {n % 3}"] for n in range(300)]
    order = random.Random(0).sample(range(300), 300)
    splits = draw(identities, labels)
    moved = draw([identities[n] for n in order], [labels[n] for n in order])
    assert moved == [splits[n] for n in order]
    assert draw(identities, labels, seed=1) != splits


def test_rows_that_share_something_stay_together_through_others_too() -> None:
    """20 patients of 10 rows each; every patient shares one image with the next but the last three."""
    identities: list[list[Identity]] = [
        [("patient", str(n // 10).encode()), ("image", str(n).encode())] for n in range(200)
    ]
    for patient in range(16):
        identities[10 * patient + 9].append(("image", str(10 * patient + 10).encode()))
    splits = draw(identities, [["kind a"]] * 200)
    assert find_leaks(range(200), splits, identities) == []
    assert len(set(splits[:170])) == 1
    assert all(len(set(splits[n : n + 10])) == 1 for n in range(170, 200, 10))


@pytest.mark.parametrize("seed", range(5))
def test_no_label_is_left_to_the_test_alone(seed: int) -> None:
    labels = [[f"kind {n // 2}", "tag all"] for n in range(60)]
    splits = draw(singles(60), labels, seed=seed)
    trained = {label for split, row in zip(splits, labels, strict=True) if split == "train" for label in row}
    assert trained == {label for row in labels for label in row}


def test_without_labels_the_shares_hold_all_the_same() -> None:
    counts = Counter(draw(singles(100), [[]] * 100))
    assert counts == {"train": 80, "validation": 10, "test": 10}


def test_a_leak_is_named_with_both_lines() -> None:
    identities: list[list[Identity]] = [[("image", b"1")], [("image", b"1"), ("patient 'P'", b"")]] * 2
    problems = find_leaks([2, 3, 4, 5], ["train", "train", "train", "test"], identities)
    assert problems == [
        "line 5: its image is in the test split and, at line 2, in the train split",
        "line 5: its patient 'P' is in the test split and, at line 3, in the train split",
    ]
