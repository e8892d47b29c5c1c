"""Which column of a table is the text, and how long its texts are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.segmenter import segmenter
from triad_serving.media.text.words import segment_text
from triad_training.media.column import Choice, Column

NAMES = (
    *("text", "caption", "description", "note", "notes", "message", "comment", "review", "body", "content"),
    *("sentence", "transcript", "question", "abstract", "summary", "title", "headline", "report"),
)
SAMPLE = 500  # texts that are cut into words
SHORTEST = 15  # characters of a cell that is prose rather than a name
HAN_SHORTEST = 6  # a Han character says about as much as three Latin letters
MOST_TOKENS = 256  # of a proposal: attention's cost grows, and the end of a longer text rarely decides
STEP = 16


def text_columns(columns: Sequence[Column]) -> list[Column]:
    """Those that hold prose, the one to read first: by name, then by length."""
    found = [column for column in columns if is_prose(column)]
    return sorted(found, key=lambda column: (not column.is_named(*NAMES), -column.mean_length))


def is_prose(column: Column) -> bool:
    """Whether most cells are long enough, and differ: unless the name says that it is text."""
    texts = column.sample(SAMPLE)
    if column.numbers is not None or 2 * sum(map(_is_long, texts)) <= len(texts):
        return False
    return column.is_named(*NAMES) or 2 * column.distinct > len(column.filled)


class Lengths(NamedTuple):
    """Words and marks: of 95 % of texts at most, of the longest, and how many to read."""

    usual: int
    longest: int
    wanted: int


def text_lengths(texts: Sequence[str]) -> Lengths:
    """texts: some of a column, at least one. At most MOST_TOKENS are wanted, fewer where few are longer."""
    limits, cutter = MediaLimits(), segmenter()
    lengths = [len(segment_text(text[: limits.max_characters], limits, cutter)) for text in texts]
    usual, longest = (int(np.percentile(lengths, share)) for share in (95, 100))
    needed = longest if longest <= 2 * usual else usual
    return Lengths(usual, longest, min(max(-(-needed // STEP) * STEP, STEP), MOST_TOKENS))


def text_choices(column: Column) -> Iterator[Choice]:
    usual, longest, wanted = text_lengths(column.sample(SAMPLE))
    yield Choice(
        section="preprocess.text",
        key="max_tokens",
        value=wanted,
        why=f"95 % of the texts have at most {usual} words and marks, the longest {longest}; the rest is cut",
    )


def _is_long(cell: str) -> bool:
    han = sum("\u4e00" <= character <= "\u9fff" for character in cell)
    return han >= HAN_SHORTEST or (" " in cell and len(cell) >= SHORTEST)
