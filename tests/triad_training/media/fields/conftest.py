"""A table of records whose class follows from two of their fields, and a model that has learnt it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.triad_training.conftest import leave_charts_blank
from triad_serving.inference.bundle import Bundle
from triad_training.train import train_bundle

COLUMNS = ("age", "heat", "ward", "note", "split", "ill", "stay")
CONFIG = """
name = "patients"
[data]
table = "metadata.csv"
text = "note"
image = ""
audio = ""
cache = ""
[data.fields]
numeric = ["age", "heat"]
categorical = ["ward"]
[tasks.ill]
[tasks.stay]
type = "regression"
[model]
width = 16
heads = 2
[optim]
epochs = 25
patience = 25
batch_size = 16
learning_rate = 0.01
average = 0.9
workers = 0
[provenance]
data = "Drawn by the test."
licence = "CC0"
"""


def write_table(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def make_rows(count: int = 160) -> list[dict[str, str]]:
    """Ill: hotter than 38, or in the ward X. Every sixth heat, every seventh age and note is missing."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(count):
        heat, ward, age = rng.uniform(36, 40), "XAB"[rng.integers(3)], rng.integers(1, 99)
        rows.append(
            {
                "age": "" if n % 7 == 1 else str(age),
                "heat": "" if n % 6 == 2 else f"{heat:.1f}",
                "ward": ward,
                "note": "" if n % 7 == 3 else ("tired and hot" if heat > 38 else "quite well"),
                "split": "train" if n < 100 else "val" if n < 130 else "test",
                "ill": "yes" if heat > 38 or ward == "X" else "no",
                "stay": f"{heat - 35:.1f}",
            }
        )
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """metadata.csv and config.toml."""
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    write_table(tmp_path, make_rows())
    return tmp_path


@pytest.fixture(scope="package")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Trained once for all tests of the folder; the charts of its report are blank."""
    root = tmp_path_factory.mktemp("patients")
    (root / "config.toml").write_text(CONFIG, encoding="utf-8")
    write_table(root, make_rows())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        leave_charts_blank(patch)
        return train_bundle(root / "config.toml", out=root / "models")
