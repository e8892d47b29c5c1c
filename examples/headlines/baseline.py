"""What the `headlines` example has to beat: TF-IDF and a linear classifier, measured on the same table.

    python examples/headlines/baseline.py [--table examples/headlines/data/metadata.csv]

Each kind of feature takes the classifier and the strength of its regularisation that score best on the
validation split. "all" trains the chosen one again on training and validation together.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import jieba
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC

CLASSIFIERS = [
    *(LinearSVC(C=c) for c in (0.1, 0.3, 1, 3, 10)),
    *(OneVsRestClassifier(LogisticRegression(C=c, solver="liblinear")) for c in (10, 30, 100)),
]

Examples = tuple[list[str], list[str]]  # texts, topics


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=Path(__file__).parent / "data/metadata.csv")
    splits = read_splits(parser.parse_args().table)
    jieba.setLogLevel(logging.WARNING)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    features = {
        "jieba words": words(1),
        "jieba words and pairs of them": words(2),
        "runs of 1 to 3 characters": characters,
        "both": FeatureUnion([("words", words(1)), ("characters", characters)]),
    }
    out = sys.stdout.write
    out("| features | classifier | validation | test | test, macro F1 | test, trained on all |\n")
    out("|---|---|---:|---:|---:|---:|\n")
    for name, vectoriser in features.items():
        out(f"| {name} | {measure(vectoriser, splits)} |\n")
        sys.stdout.flush()


def words(longest: int) -> TfidfVectorizer:
    return TfidfVectorizer(tokenizer=segment, token_pattern=None, ngram_range=(1, longest), sublinear_tf=True)


def segment(text: str) -> list[str]:
    return [word for word in jieba.lcut(text) if not word.isspace()]


def measure(vectoriser: TfidfVectorizer | FeatureUnion, splits: Mapping[str, Examples]) -> str:
    """Cells of one row of the table."""
    (texts, topics), (held_out, truth) = splits["train"], splits["validation"]
    features, held_out_features = vectoriser.fit_transform(texts), vectoriser.transform(held_out)
    fitted = [clone(c).fit(features, topics) for c in CLASSIFIERS]
    scores = [classifier.score(held_out_features, truth) for classifier in fitted]
    best = max(range(len(fitted)), key=scores.__getitem__)
    test_features, test_topics = vectoriser.transform(splits["test"][0]), splits["test"][1]
    answers = fitted[best].predict(test_features)
    everything = Pipeline([("features", clone(vectoriser)), ("classifier", clone(fitted[best]))])
    everything.fit(texts + held_out, topics + truth)
    return (
        f"{fitted[best]} | {100 * scores[best]:.1f} "
        f"| {100 * fitted[best].score(test_features, test_topics):.2f} "
        f"| {100 * f1_score(test_topics, answers, average='macro'):.2f} "
        f"| {100 * everything.score(splits['test'][0], test_topics):.2f}"
    )


def read_splits(table: Path) -> dict[str, Examples]:
    """Texts as the service normalises them: NFKC, lower case."""
    splits: dict[str, Examples] = {name: ([], []) for name in ("train", "validation", "test")}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            texts, topics = splits[row["split"]]
            texts.append(unicodedata.normalize("NFKC", row["text"]).lower())
            topics.append(row["topic"])
    return splits


if __name__ == "__main__":
    main()
