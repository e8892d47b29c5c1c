"""What a column could teach: classes, tags, a number, or what is said in a sound."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from triad_serving.contract.tasks import TaskType
from triad_training.data.labels import split_tags
from triad_training.media.column import Column
from triad_training.media.inspection import may_be_said

TARGET_NAMES = (
    *("label", "labels", "target", "targets", "class", "classes", "y", "category", "categories", "tag"),
    *("tags", "topic", "topics", "kind", "sentiment", "emotion", "intent", "outcome", "diagnosis", "genre"),
)
NUMBER_NAMES = (
    *("label", "target", "y", "score", "price", "rating", "urgency", "severity", "priority", "stars"),
    *("grade", "value", "quality"),
)
SEPARATORS = (";", "|", ",")
MOST_CLASSES = 100
ROWS_PER_CLASS = 3  # on average, or a column names things rather than classes
FEW_NUMBERS = 2  # so many different whole numbers are classes: 0 and 1
FEW_NAMED = 20  # likewise, in a column that is named as classes are
RARE = 5  # the rarest class has less than a RARE-th of its share of an even split


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What one column holds, if it is to be answered. why: what was seen. values: classes or tags, sorted.

    unit: of a transcript.
    """

    column: Column
    type: TaskType
    why: str
    values: tuple[str, ...] = ()
    separator: str = ";"
    uneven: str = ""  # how much so, where rare classes should weigh more
    unit: str = ""


def labels_of(column: Column) -> Labels | None:
    """None where there is nothing to learn from it."""
    if column.distinct < 2:
        return None
    if column.numbers is not None and not _numbers_are_classes(column):
        low, high = min(column.numbers), max(column.numbers)
        why = f"numbers from {low:g} to {high:g}"
        return Labels(column=column, type="regression", why=why)
    return _tags(column) or _classes(column)


def transcript_of(column: Column) -> Labels | None:
    """Of texts of few words that come again, or of prose; None of what is neither."""
    words = Counter(word for cell in column.filled for word in cell.split())
    if column.numbers is not None or not words:
        return None
    total = sum(words.values())
    if len(words) <= MOST_CLASSES and total >= ROWS_PER_CLASS * len(words):
        why = f"{len(words)} different words, {total / len(column.filled):.1f} in a recording"
        return Labels(column=column, type="transcript", why=why, unit="word")
    if may_be_said(column):
        why = f"{column.distinct} different texts, to be heard in the recordings"
        return Labels(column=column, type="transcript", why=why, unit="character")
    return None


def is_named_target(column: Column) -> bool:
    names = NUMBER_NAMES if column.numbers is not None else TARGET_NAMES
    return column.is_named(*names) or column.is_named(*TARGET_NAMES)


def _numbers_are_classes(column: Column) -> bool:
    assert column.numbers is not None
    if not all(number.is_integer() for number in column.numbers):
        return False
    most = FEW_NAMED if column.is_named("label", "class", "category", "kind", "y") else FEW_NUMBERS
    return column.distinct <= most


def _classes(column: Column) -> Labels | None:
    counts, rows = column.counts, len(column.filled)
    if len(counts) > MOST_CLASSES or rows < ROWS_PER_CLASS * len(counts):
        return None
    rarest, least = min(counts.items(), key=lambda item: item[1])
    uneven = ""
    if least * len(counts) * RARE < rows:
        uneven = f"{rarest} has {least} of {rows} rows: each class shall be found, the rare ones too"
    largest = max(counts.values()) / rows
    why = f"{len(counts)} different values, the most frequent in {largest:.0%} of the rows"
    return Labels(column=column, type="classification", why=why, values=tuple(sorted(counts)), uneven=uneven)


def _tags(column: Column) -> Labels | None:
    """Cells that name several of few tags; the separator is one that brings repeated parts out."""
    for separator in SEPARATORS:
        together = [cell for cell in column.filled if separator in cell]
        tags = Counter(tag for cell in column.filled for tag in split_tags(cell, separator))
        if 10 * len(together) < len(column.filled) or not 1 < len(tags) <= MOST_CLASSES:
            continue
        if sum(tags.values()) >= ROWS_PER_CLASS * len(tags) and len(tags) <= column.distinct:
            why = f"{len(tags)} different tags, separated by {separator}"
            values = tuple(sorted(tags))
            return Labels(column=column, type="multilabel", why=why, values=values, separator=separator)
    return None
