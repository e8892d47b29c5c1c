"""Characters: the normal form of a text, and where each of its characters stood in the text as sent."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence


def normalise(text: str) -> tuple[str, Sequence[tuple[int, int]]]:
    """NFKC and lower case, with the [start, end) in `text` that each resulting character came from."""
    if text.isascii():
        return text.lower(), [(i, i + 1) for i in range(len(text))]
    parts: list[str] = []
    origin: list[tuple[int, int]] = []
    for start, end in _clusters(text):
        part = unicodedata.normalize("NFKC", text[start:end]).lower()
        parts.append(part)
        origin.extend([(start, end)] * len(part))
    return "".join(parts), origin


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Spans whose NFKC forms, one after another, are that of the whole text.

    A character with the combining marks behind it, or with what composes with it: Korean letters, half-width
    Japanese voicing marks, Indic vowel signs.
    """
    start = 0
    for i in range(1, len(text)):
        following = unicodedata.normalize("NFKC", text[i])
        if unicodedata.combining(following[0]):
            continue
        last = unicodedata.normalize("NFKC", text[start:i])[-1]
        if unicodedata.normalize("NFKC", last + following) == last + following:
            yield start, i
            start = i
    yield start, len(text)
