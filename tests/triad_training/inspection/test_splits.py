from __future__ import annotations

from triad_training.inspection.splits import (
    group_columns,
    half_split_columns,
    more_splits,
    names_rows,
    respects,
    split_columns,
)
from triad_training.media.column import Column


def column(name: str, *cells: str) -> Column:
    return Column(name=name, cells=cells)


def test_a_column_of_splits_names_all_three_and_the_one_called_so_comes_first() -> None:
    fold = column("fold", "train", "val", "test")
    split = column("split", "Training", "dev", "TEST")
    two = column("two", "train", "test", "test")
    other = column("other", "train", "test", "validate")
    gap = column("gap", "train", "test", "val", "")
    assert split_columns([fold, other, split, two, gap]) == [split, fold]
    assert half_split_columns([fold, other, split, two]) == [two]


def test_a_column_that_is_called_split_may_name_others() -> None:
    split = column("split", "train", "val", "test", "new speakers", "night")
    step = column("step", "train", "val", "test", "new speakers")
    assert split_columns([split, step]) == [split]
    assert more_splits(split) == ["new speakers", "night"]
    assert split_columns([column("split", "train", "val", "test", *"abcdef")]) == []
    assert respects(column("patient", *"abcde"), split)
    assert not respects(column("patient", *"abcdd"), split)


def test_groups_are_identifiers_that_come_again() -> None:
    patient = column("patient", *(f"p{n // 2}" for n in range(20)))
    store = column("store_id", *(str(n // 4) for n in range(20)))
    shop = column("shop", *(f"s{n // 4}" for n in range(20)))
    once = column("user", *(f"u{n}" for n in range(20)))
    assert group_columns([patient, store, shop, once]) == [patient, store]


def test_a_group_respects_splits_where_none_stands_in_two() -> None:
    split = column("split", "train", "train", "test", "val")
    assert respects(column("patient", "a", "a", "b", "c"), split)
    assert not respects(column("patient", "a", "b", "b", "c"), split)


def test_running_numbers_and_unique_names_name_rows_and_measurements_do_not() -> None:
    assert names_rows(column("n", "3", "4", "5"))
    assert names_rows(column("code", "x7", "q1", "z9"))
    assert names_rows(column("row_id", "30", "11", "25"))
    assert not names_rows(column("weight", "30.5", "11", "25"))
