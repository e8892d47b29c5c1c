"""The tables that scikit-learn ships: every record once, every fold with all classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, load
from triad_training.config.reading import load_config
from triad_training.data.table import read_table

prepare = load("fields/prepare")
baseline = load("fields/baseline")


@pytest.mark.parametrize(("name", "rows"), [("breast_cancer", 569), ("wine", 178), ("diabetes", 442)])
def test_every_record_is_tested_once_and_validates_once(name: str, rows: int) -> None:
    made = prepare.make_rows(name)
    assert len(made) == rows
    for row in made:
        assert Counter(row[fold] for fold in prepare.FOLDS) == {"train": 3, "validation": 1, "test": 1}


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_every_fold_tests_every_class(name: str) -> None:
    made = prepare.make_rows(name)
    classes = {row["target"] for row in made}
    for fold in prepare.FOLDS:
        assert {row["target"] for row in made if row[fold] == "test"} == classes


def test_the_config_reads_every_number_of_its_table(tmp_path: Path) -> None:
    made = prepare.make_rows("breast_cancer")
    lines = [",".join(made[0]), *(",".join(row.values()) for row in made)]
    (tmp_path / "breast_cancer.csv").write_text("\n".join(lines), encoding="utf-8")
    table = f"data.table={tmp_path / 'breast_cancer.csv'}"
    config = load_config(EXAMPLES / "fields/config.toml", [table])
    assert set(config.data.fields.numeric) == made[0].keys() - {"target", *prepare.FOLDS}
    assert read_table(config).warnings == ()


def test_the_baseline_is_scored_on_the_folds_test_rows_alone() -> None:
    """A target that is one of the numbers: a linear model finds it, boosting nearly."""
    made = prepare.make_rows("diabetes")
    rows = [{**row, "target": row["bmi"]} for row in made]
    boosted, linear = baseline.score_fold(rows, "fold_1")
    assert linear == pytest.approx(1.0, abs=0.01)
    assert boosted > 0.9
