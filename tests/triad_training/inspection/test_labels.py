from __future__ import annotations

import pytest

from triad_training.inspection.labels import labels_of
from triad_training.media.column import Column


def column(*cells: str, name: str = "x") -> Column:
    return Column(name=name, cells=cells)


@pytest.mark.parametrize(
    ("cells", "name", "expected"),
    [
        (["a", "b"] * 5, "x", "classification"),
        (["0", "1"] * 5, "x", "classification"),
        (["1", "2", "3"] * 5, "x", "regression"),
        (["1", "2", "3"] * 5, "class", "classification"),
        (["0.5", "1"] * 5, "x", "regression"),
        (["a;b", "b", ";", "a"] * 3, "x", "multilabel"),
        (["a,b", "b,c", "a"] * 3, "x", "multilabel"),
        (["a"] * 9, "x", None),
        ([f"name {n}" for n in range(9)], "x", None),
        (["Lyon, France", "Leeds, England"] * 9, "x", "classification"),
    ],
)
def test_the_type_follows_from_the_cells(cells: list[str], name: str, expected: str | None) -> None:
    found = labels_of(column(*cells, name=name))
    assert (found and found.type) == expected


@pytest.mark.parametrize(("rare", "uneven"), [(9, True), (10, False)])
def test_a_class_is_rare_below_a_fifth_of_an_even_share(rare: int, uneven: bool) -> None:
    found = labels_of(column(*["a"] * (100 - rare), *["b"] * rare))
    assert found is not None
    assert bool(found.uneven) == uneven
