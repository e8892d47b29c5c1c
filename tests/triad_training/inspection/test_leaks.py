from __future__ import annotations

import numpy as np
import pytest

from triad_training.inspection.labels import labels_of
from triad_training.inspection.leaks import gives_away, says_the_same
from triad_training.media.column import Column

RNG = np.random.default_rng(0)
TARGET = Column(name="target", cells=tuple("ab"[n % 2] for n in range(100)))
NUMBER = Column(name="number", cells=tuple(str(n / 7) for n in range(100)))


def with_mistakes(count: int) -> Column:
    """TARGET in other words, wrong in so many rows."""
    wrong = {"a": "B", "b": "A"}
    cells = [wrong[c] if n < count else c.upper() for n, c in enumerate(TARGET.cells)]
    return Column(name="copy", cells=tuple(cells))


@pytest.mark.parametrize(("mistakes", "same", "leak"), [(0, True, True), (2, False, True), (3, False, False)])
def test_a_copy_may_have_few_mistakes(mistakes: int, same: bool, leak: bool) -> None:
    target = labels_of(TARGET)
    assert target is not None
    assert says_the_same(with_mistakes(mistakes), TARGET) == same
    assert gives_away(with_mistakes(mistakes), target) == leak


def test_a_column_that_names_rows_gives_nothing_away() -> None:
    target = labels_of(TARGET)
    assert target is not None
    assert not gives_away(Column(name="id", cells=tuple(map(str, range(100)))), target)


@pytest.mark.parametrize(("noise", "leak"), [(0.1, True), (5.0, False)])
def test_a_number_gives_a_number_away_where_they_correlate(noise: float, leak: bool) -> None:
    target = labels_of(NUMBER)
    assert target is not None
    values = np.array(NUMBER.numbers) * -3 + noise * RNG.normal(size=100)
    assert gives_away(Column(name="value", cells=tuple(map(str, values))), target) == leak
