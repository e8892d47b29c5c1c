"""Simple alternatives to the `xray` example, on the same folds: logistic regression on note, image and both,
gradient boosting on the patient's columns.

    python examples/xray/baseline.py [--table examples/xray/data/metadata.csv]

Note: TF-IDF of words and pairs. Image: 64 principal components of 32 x 32 pixels beside histograms of
gradient orientation. Classes are weighted inversely to their frequency; the strength of the regularisation
has the best macro F1 on the fold's validation patients, from whom the model then learns, too. Trains on every
labelled row that has the media.
Columns: HistGradientBoosting with scikit-learn's defaults, which reads empty cells as they are, and balanced
classes; it learns from the validation rows, too.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TASKS = ("cause", "view", "sex", "survival", "intubated", "icu")
FOLDS = tuple(f"fold_{n}" for n in range(1, 6))
MEDIA = ("text", "image", "text + image")
NUMBERS = ("age", "days", "temperature", "saturation", "leukocytes", "neutrophils", "lymphocytes")
STRENGTHS = (0.001, 0.01, 0.1, 1, 10, 100)
SIDE, CELLS, ORIENTATIONS = 32, 8, 9

Row = Mapping[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=Path(__file__).parent / "data/metadata.csv")
    table = parser.parse_args().table
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pictures_ND = np.stack([describe(table.parent / row["image_file_name"]) for row in rows])
    out = sys.stdout.write
    out("Macro F1, mean over the folds\n\n")
    heads = (*MEDIA, "columns", "always the most frequent")
    out(f"| task | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}\n")
    for task in TASKS:
        scores = [[measure(rows, pictures_ND, task, fold, media) for fold in FOLDS] for media in MEDIA]
        scores.append([boost_columns(rows, task, fold) for fold in FOLDS])
        scores.append([most_frequent(rows, task, fold) for fold in FOLDS])
        cells = " | ".join(f"{100 * np.mean(folds):.1f}" for folds in scores)
        out(f"| {task} | {cells} |\n")


def measure(rows: Sequence[Row], pictures_ND: np.ndarray, task: str, fold: str, media: str) -> float:
    """Macro F1 on the labelled test rows of a fold."""
    used = [n for n, row in enumerate(rows) if row[task] and (row["text"] or media == "image")]
    part = {name: [n for n in used if rows[n][fold] == name] for name in ("train", "validation", "test")}
    labels = {name: [rows[n][task] for n in numbers] for name, numbers in part.items()}
    features = {name: [] for name in part}
    if "text" in media:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        words.fit([rows[n]["text"] for n in part["train"]])
        for name, numbers in part.items():
            features[name].append(words.transform([rows[n]["text"] for n in numbers]))
    if "image" in media:
        shapes = make_pipeline(StandardScaler(), PCA(64, whiten=True, random_state=0))
        shapes.fit(pictures_ND[part["train"]])
        for name, numbers in part.items():
            features[name].append(
                csr_matrix(shapes.transform(pictures_ND[numbers]) / 8)
            )  # rows of about unit norm
    joined = {name: hstack(parts) for name, parts in features.items()}
    fitted = [
        LogisticRegression(C=c, class_weight="balanced", max_iter=2000).fit(joined["train"], labels["train"])
        for c in STRENGTHS
    ]
    best = max(fitted, key=lambda model: macro_f1(labels["validation"], model.predict(joined["validation"])))
    seen = vstack([joined["train"], joined["validation"]])
    whole = clone(best).fit(seen, labels["train"] + labels["validation"])
    return macro_f1(labels["test"], whole.predict(joined["test"]))


def boost_columns(rows: Sequence[Row], task: str, fold: str) -> float:
    """On the test rows with a column and a label; the sex is a column where it is not the task."""

    def read(row: Row) -> list[float]:
        sex = [{"female": 0.0, "male": 1.0}.get(row["sex"], np.nan)] if task != "sex" else []
        return sex + [float(row[name]) if row[name] else np.nan for name in NUMBERS]

    used = [row for row in rows if row[task] and not np.isnan(read(row)).all()]
    known, test = ([row for row in used if (row[fold] == "test") == asked] for asked in (False, True))
    model = HistGradientBoostingClassifier(class_weight="balanced", random_state=0)
    model.fit(np.array([read(row) for row in known]), [row[task] for row in known])
    return macro_f1([row[task] for row in test], model.predict(np.array([read(row) for row in test])))


def most_frequent(rows: Sequence[Row], task: str, fold: str) -> float:
    truth = [row[task] for row in rows if row[fold] == "test" and row[task]]
    return macro_f1(truth, [max(set(truth), key=truth.count)] * len(truth))


def macro_f1(truth: Sequence[str], answers: Sequence[str]) -> float:
    """Over the classes that occur in the truth, as `triad train` counts it."""
    return float(f1_score(truth, answers, labels=sorted(set(truth)), average="macro", zero_division=0))


def describe(path: Path) -> np.ndarray:
    """Pixels, then histograms of gradient orientation (Dalal & Triggs 2005) in CELLS x CELLS cells."""
    image = Image.open(path)
    pixels_HW = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=float)
    large_HW = np.asarray(image.resize((4 * SIDE, 4 * SIDE), Image.Resampling.BILINEAR), dtype=float)
    down_HW, across_HW = np.gradient(large_HW)
    angle_HW = np.arctan2(down_HW, across_HW) % np.pi
    bin_HW = np.minimum((angle_HW / np.pi * ORIENTATIONS).astype(int), ORIENTATIONS - 1)
    cell = 4 * SIDE // CELLS
    row_HW, column_HW = np.indices(large_HW.shape) // cell
    place_HW = (row_HW * CELLS + column_HW) * ORIENTATIONS + bin_HW
    size = CELLS * CELLS * ORIENTATIONS
    histogram = np.bincount(place_HW.ravel(), np.hypot(down_HW, across_HW).ravel(), size)
    cells = histogram.reshape(-1, ORIENTATIONS)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True) + 1e-6
    standard = (pixels_HW - pixels_HW.mean()) / (pixels_HW.std() + 1)
    return np.concatenate([standard.ravel(), cells.ravel()])


if __name__ == "__main__":
    main()
