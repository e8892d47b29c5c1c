"""Makes the table of the `headlines` example from a local copy of the THUCNews headlines.

    python examples/headlines/prepare.py --headlines DIR [--out DIR]

--headlines: class.txt, dev.txt and test.txt of github.com/649453932/Chinese-Text-Classification-Pytorch
(THUCNews/data); a line is headline, tab, class number.

Trains on nine tenths of dev.txt, validates on the rest, tests on all of test.txt. Headlines of dev.txt that
also stand in test.txt, or a second time in dev.txt, are left out. The same input makes the same file.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from pathlib import Path

VALIDATION_SHARE = 0.1
SEED = 20261123
FIELDS = ("text", "split", "topic")

Headline = tuple[str, str]  # text, topic


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--headlines", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rows = make_rows(options.headlines)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows(rows)
    sys.stdout.write(f"{len(rows)} examples in {options.out / 'metadata.csv'}\n")


def make_rows(source: Path) -> list[tuple[str, str, str]]:
    """(text, split, topic), each split in a fixed random order."""
    topics = (source / "class.txt").read_text(encoding="utf-8").split()
    test = read_headlines(source / "test.txt", topics)
    tested = {text for text, _ in test}
    learned = [
        (text, topic)
        for text, topic in dict.fromkeys(read_headlines(source / "dev.txt", topics))
        if text not in tested
    ]
    random.Random(SEED).shuffle(learned)
    validation = round(VALIDATION_SHARE * len(learned))
    splits = {"train": learned[validation:], "validation": learned[:validation], "test": test}
    return [(text, split, topic) for split, items in splits.items() for text, topic in items]


def read_headlines(path: Path, topics: list[str]) -> list[Headline]:
    lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [(text.strip(), topics[int(number)]) for text, number in lines]


if __name__ == "__main__":
    main()
