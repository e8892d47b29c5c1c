"""Strong alternatives to the `fields` example, on the same folds: gradient boosting and linear models.

    python examples/fields/baseline.py [--tables DIR]

HistGradientBoosting with scikit-learn's defaults, and logistic or ridge regression on standardised numbers
whose strength of regularisation is best on the fold's validation rows. Both then train on the training and
validation rows, and are scored on the fold's test rows: accuracy in per cent, of the number R2 times 100.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent / "data")
    folder = parser.parse_args().tables
    sys.stdout.write("| table | gradient boosting | linear |\n|---|---:|---:|\n")
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        folds = [column for column in rows[0] if column.startswith("fold_")]
        boosted, linear = np.array([score_fold(rows, fold) for fold in folds]).T * 100
        cells = [f"{each.mean():.1f} ± {each.std():.1f}" for each in (boosted, linear)]
        sys.stdout.write(f"| {path.stem} | {' | '.join(cells)} |\n")


def score_fold(rows: Sequence[dict[str, str]], fold: str) -> tuple[float, float]:
    """Of gradient boosting and of the best linear model."""
    columns = [column for column in rows[0] if column != "target" and not column.startswith("fold_")]
    numbers_ND = np.array([[float(row[column]) for column in columns] for row in rows])
    classes = any(not is_number(row["target"]) for row in rows)
    targets_N = np.array([row["target"] if classes else float(row["target"]) for row in rows])
    splits_N = np.array([row[fold] for row in rows])
    train, validation, test = (splits_N == name for name in ("train", "validation", "test"))
    known = train | validation

    def score(model: Any, learnt: np.ndarray, judged: np.ndarray) -> float:
        fitted = model.fit(numbers_ND[learnt], targets_N[learnt])
        return float(fitted.score(numbers_ND[judged], targets_N[judged]))

    make_linear: Callable[[float], Any] = (
        (lambda c: LogisticRegression(C=c, max_iter=5000)) if classes else (lambda c: Ridge(alpha=1 / c))
    )
    candidates = [make_pipeline(StandardScaler(), make_linear(c)) for c in STRENGTHS]
    best = max(candidates, key=lambda model: score(model, train, validation))
    boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return score(boosting(random_state=0), known, test), score(best, known, test)


def is_number(written: str) -> bool:
    try:
        float(written)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
