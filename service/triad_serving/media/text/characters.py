"""Characters: the normal form of a text, and where each of its characters stood in the text as sent."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

# Chinese and English: ideographs, punctuation and full-width ASCII. Each becomes one character, whatever is
# beside it: that need not be found out by normalising it three times (60 of them: 3 us, not 180).
ONE_FOR_ONE = re.compile("[\x00-\x7f\u2014\u2018\u2019\u201c\u201d\u3000-\u3029\u4e00-\u9fff\uff01-\uff5e]*")


def normalise(text: str) -> tuple[str, Sequence[tuple[int, int]] | None]:
    """NFKC and lower case, with the [start, end) in `text` that each resulting character came from.

    None where each came from the one in its own place.
    """
    if ONE_FOR_ONE.fullmatch(text):
        return unicodedata.normalize("NFKC", text).lower(), None
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
