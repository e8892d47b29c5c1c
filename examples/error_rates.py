"""How often a bundle mishears, by the columns of its table: the error rate of words, or of other units.

    python examples/error_rates.py BUNDLE TABLE [--split test] [--by COLUMN ...] [--unit PATTERN]

Errors are the fewest substitutions, insertions and deletions that turn what was heard into what was said, by
unit that was said; the interval holds 95 % of what a thousand draws of the same number of utterances give.
--unit: a regular expression that finds the units of a transcript, words by default. "[^0-9]*[0-9]" finds
syllables that end in their tone.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from triad_serving.contract.arrays import I64
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.session import Session
from triad_training.evaluation.evaluate import answer_split, open_table
from triad_training.evaluation.transcripts import text_of

RESAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--split", action="append", default=[], help="test by default; repeatable")
    parser.add_argument("--by", action="append", default=[], metavar="COLUMN", help="repeatable")
    parser.add_argument("--unit", default=r"\S+", metavar="PATTERN")
    options = parser.parse_args()
    with options.table.open(encoding="utf-8", newline="") as file:
        cells = {row["audio_file_name"]: row for row in csv.DictReader(file)}
    out = sys.stdout.write
    out("| | utterances | units | error rate, % | interval | wholly right, % |\n")
    out("|---|---:|---:|---:|---|---:|\n")
    for split in options.split or ["test"]:
        errors_N2, names = count_errors(options.bundle, options.table, split, options.unit)
        out(line(split, errors_N2))
        for column in options.by:
            groups_N = np.array([cells[name][column] for name in names])
            for group in sorted(set(groups_N)):
                out(line(f"{split}, {column} {group}", errors_N2[groups_N == group]))


def count_errors(bundle_path: Path, table_path: Path, split: str, unit: str) -> tuple[I64, list[str]]:
    """Of the bundle's only transcript: errors and units of each utterance, and its file in the table."""
    bundle = read_bundle(bundle_path)
    (task,) = (task for task in bundle.tasks if task.type == "transcript")
    table = open_table(bundle, table_path, [split])
    examples = [example for example in table.split(split) if example.audio and task.name in example.labels]
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks)
    answers = answer_split(session, table.dataset(examples), bundle.tasks, bundle.path)
    spoken_N = answers.logits[task.name][answers.whole_rows()]
    heard = [text_of(task, spoken.heard.symbols_U) for spoken in spoken_N]
    said = [example.labels[task.name] for example in examples]
    errors_N2 = np.array([errors(*pair, unit) for pair in zip(said, heard, strict=True)])
    return errors_N2, [str(example.audio.relative_to(table_path.resolve().parent)) for example in examples]


def errors(said: str, heard: str, unit: str) -> tuple[int, int]:
    """Errors, and units that were said."""
    true, found = ([piece.strip() for piece in re.findall(unit, text)] for text in (said, heard))
    return Levenshtein.distance(true, found), len(true)


def line(name: str, errors_N2: I64) -> str:
    """Of a table in Markdown."""
    wrong, units = errors_N2.sum(0)
    drawn_RN = np.random.default_rng(0).integers(len(errors_N2), size=(RESAMPLES, len(errors_N2)))
    wrong_R, units_R = errors_N2[drawn_RN].sum(1).T
    low, high = np.quantile(100 * wrong_R / units_R, (0.025, 0.975))
    whole = 100 * np.mean(errors_N2[:, 0] == 0)
    return (
        f"| {name} | {len(errors_N2)} | {units} | {100 * wrong / units:.2f} | {low:.2f} to {high:.2f} "
        f"| {whole:.1f} |\n"
    )


if __name__ == "__main__":
    main()
