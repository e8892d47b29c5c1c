"""Trains an example once for each fold of its table, and prints its test scores, meaned over the folds.

    python examples/folds.py CONFIG [--subset text+image] [--set KEY=VALUE ...] [--out DIR]

A fold is a column of the table that says who trains, validates and tests: fold_1, fold_2 and so on. The
bundle of fold n is NAME version n under --out; one that is there already is read, not trained again.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from triad_serving.contract.errors import TriadError
from triad_serving.inference.bundle import read_bundle
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.metrics import SCORE_NAMES, Scores
from triad_training.train import train_bundle

SHOWN = ("accuracy", "recall", "f1", "r2")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--subset", default="")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("models"))
    options = parser.parse_args()
    try:
        config = load_config(options.config, options.overrides, subset=options.subset)
        scores = [
            score_fold(options.config, config.name, fold, options)
            for fold in range(1, 1 + count_folds(config))
        ]
    except TriadError as error:
        sys.exit(error.detail)
    sys.stdout.write(table(scores))


def count_folds(config: TrainConfig) -> int:
    with config.data.table.open(encoding="utf-8", newline="") as file:
        return sum(column.startswith("fold_") for column in next(csv.reader(file)))


def score_fold(path: Path, name: str, fold: int, options: argparse.Namespace) -> Scores:
    """The test scores of one fold's bundle."""
    folder = options.out / name / str(fold)
    if folder.exists():
        return read_bundle(folder).manifest.metrics["test"]
    overrides = [*options.overrides, f"data.split=fold_{fold}", f'version="{fold}"']
    bundle = train_bundle(path, out=options.out, overrides=overrides, subset=options.subset)
    return bundle.manifest.metrics["test"]


def table(folds: list[Scores]) -> str:
    """Markdown: a line for each task and subset of media; per cent, mean over the folds and its deviation."""
    names = [name for name in SHOWN if any(name in s for t in folds[0].values() for s in t.values())]
    lines = [
        f"| task | media | {' | '.join(SCORE_NAMES.get(name, name) for name in names)} |",
        f"|---|---|{'---:|' * len(names)}",
    ]
    tasks = dict.fromkeys(task for per_task in folds[0].values() for task in per_task)
    for task in tasks:
        for subset in folds[0]:
            cells = []
            for name in names:
                values = [
                    100 * fold[subset][task][name] for fold in folds if name in fold[subset].get(task, {})
                ]
                cells.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}" if values else "")
            lines.append(f"| {task} | {subset.replace('+', ' + ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
