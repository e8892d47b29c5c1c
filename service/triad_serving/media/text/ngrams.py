"""N-grams of a text as a linear model reads them: words, pairs of words, runs of characters within words.

"=" stands before words and pairs, so that the word "the" and the characters "the" of "other" are two entries.
Chinese and Japanese have no spaces: of them the tokens are the words. Runs of characters are those of
scikit-learn's analyzer "char_wb": of each word with a space on either side.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triad_serving.contract.errors import BundleError
from triad_serving.media.text.characters import normalise
from triad_serving.media.text.spec import TextInput, TextSpec

NGRAMS_FILE = "ngrams.txt"
WORD = re.compile(r"\w+")
LONGEST_RUN = 5  # characters
FIRST_ID = 1  # 0 pads
LETTER = re.compile("[a-z0-9_]")  # says nothing on its own, as an ideograph does
# Kana and ideographs.
SPACELESS = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")


class Place(NamedTuple):
    """An n-gram, and the first and the last token that it touches."""

    entry: str
    first: int
    last: int


class Ngrams:
    """Known n-grams, numbered from FIRST_ID in their order."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Raises BundleError on a repeat."""
        self.entries = tuple(entries)
        self._ids: Mapping[str, int] = {entry: i for i, entry in enumerate(entries, start=FIRST_ID)}
        if len(self._ids) != len(self.entries):
            raise BundleError("The n-grams name an entry twice.")

    def __len__(self) -> int:
        return len(self.entries)

    def read_in(self, item: TextInput, spec: TextSpec) -> TextInput:
        """The text with every occurrence of a known one, the first max_ngrams of them."""
        found = [
            (number, first, last)
            for entry, first, last in ngrams_of(item.text, item.spans)
            if (number := self._ids.get(entry)) is not None
        ]
        ngrams_G3 = np.array(found[: spec.max_ngrams], dtype=np.int64).reshape(-1, 3)
        return dataclasses.replace(item, ngrams_G3=ngrams_G3)

    def to_bytes(self) -> bytes:
        return "".join(f"{entry}\n" for entry in self.entries).encode()

    @classmethod
    def read(cls, path: Path) -> Ngrams:
        try:
            return cls(path.read_text(encoding="utf-8").split("\n")[:-1])
        except UnicodeDecodeError as error:
            raise BundleError(f"The n-grams {path} are not UTF-8: {error}.") from error


def ngrams_of(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[Place]:
    """Of the characters that stand in one of the spans; what lies between separates words."""
    normal, origin = normalise(text)
    owner = [-1] * len(text)
    for token, (start, end) in enumerate(spans):
        owner[start:end] = [token] * (end - start)
    if origin is not None:
        owner = [owner[start] for start, _ in origin]
    read = "".join(c if token >= 0 else " " for c, token in zip(normal, owner, strict=True))
    before: Place | None = None
    for match in WORD.finditer(read):
        run, start = match.group(), match.start()
        tokens = owner[start : match.end()]
        yield from _runs(run, tokens)
        for first, end in _words(run, tokens):
            word = run[first:end]
            alone = Place(f"={word}", tokens[first], tokens[end - 1])
            yield alone
            if before is not None:
                yield Place(f"{before.entry} {word}", before.first, alone.last)
            before = alone


def _words(run: str, tokens: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where its words stand: all of it, but where there are no spaces: there a word ends with its token."""
    start = 0
    for place in range(1, len(run)):
        if tokens[place] != tokens[place - 1] and SPACELESS.match(run[place]):
            yield start, place
            start = place
    yield start, len(run)


def _runs(word: str, owner: Sequence[int]) -> Iterator[Place]:
    """Runs of up to LONGEST_RUN characters of a word with a space on either side."""
    padded = f" {word} "
    length = len(padded)
    tokens = [owner[0], *owner, owner[-1]]
    for start in range(length - 1):
        for end in range(start + 2, min(start + LONGEST_RUN, length) + 1):
            yield Place(padded[start:end], tokens[start], tokens[end - 1])
    for character, token in zip(word, owner, strict=True):
        if not LETTER.match(character):
            yield Place(character, token, token)
