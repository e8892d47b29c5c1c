"""Makes the tables of the `fields` example: data sets of numbers and categories that scikit-learn ships.

    python examples/fields/prepare.py [--out DIR]

Writes breast_cancer.csv, wine.csv (classes) and diabetes.csv (a number), one row per record. fold_1 to fold_5
each name the split of every row: a fifth tests, the next fifth validates, the rest trains; classes in equal
shares. The same versions make the same files.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import KFold, StratifiedKFold

FOLD_COUNT = 5
SEED = 0
FOLDS = tuple(f"fold_{n + 1}" for n in range(FOLD_COUNT))
TABLES = ("breast_cancer", "wine", "diabetes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        rows = make_rows(name)
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        sys.stdout.write(f"{len(rows)} examples in {out / name}.csv\n")


def make_rows(name: str) -> list[dict[str, str]]:
    """Columns as the data set names them, spaces made underscores; `target`; a column for each fold."""
    data = {
        "breast_cancer": load_breast_cancer,
        "wine": load_wine,
        "diabetes": lambda: load_diabetes(scaled=False),
    }[name]()
    columns = [str(column).replace(" ", "_").replace("/", "_") for column in data.feature_names]
    names = list(map(str, data.target_names)) if "target_names" in data else []
    targets = [names[int(value)] if names else f"{value:g}" for value in data.target]
    rows = [
        {**{column: f"{value:g}" for column, value in zip(columns, row, strict=True)}, "target": target}
        for row, target in zip(data.data, targets, strict=True)
    ]
    splitter = (StratifiedKFold if names else KFold)(FOLD_COUNT, shuffle=True, random_state=SEED)
    place = np.zeros(len(rows), dtype=int)
    for fold, (_, tested) in enumerate(splitter.split(data.data, data.target)):
        place[tested] = fold
    for row, own in zip(rows, place.tolist(), strict=True):
        for fold, column in enumerate(FOLDS):
            row[column] = {0: "test", 1: "validation"}.get((own - fold) % FOLD_COUNT, "train")
    return rows


if __name__ == "__main__":
    main()
