"""Lexicon: everything besides the spec that turns a text into ids. Its files lie in the bundle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.contract import MediaLimits, TextInput, TextSpec
from service.errors import BundleError
from service.preprocess.text import Vocabulary, Word, encode_words, segment_text

VOCABULARY_FILE = "vocabulary.txt"


class Lexicon(Protocol):
    """Two halves, so that training can drop and split words between them."""

    def words(self, text: str, spec: TextSpec, limits: MediaLimits) -> tuple[Word, ...]:
        """Raises TooLargeError over limits.max_characters, DecodeError where no word is left."""
        ...

    def encode(self, words: Sequence[Word], spec: TextSpec, *, characters: int) -> TextInput:
        """characters: length of the text as sent, for the answer."""
        ...

    @property
    def size(self) -> int:
        """How many ids there are, reserved ones included."""
        ...

    def files(self) -> dict[str, bytes]:
        """What `read_lexicon` reads back, by file name."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class WordLexicon:
    """Words as jieba cuts them, looked up in a vocabulary that training made."""

    vocabulary: Vocabulary

    def words(self, text: str, spec: TextSpec, limits: MediaLimits) -> tuple[Word, ...]:  # noqa: ARG002
        return segment_text(text, limits)

    def encode(self, words: Sequence[Word], spec: TextSpec, *, characters: int) -> TextInput:
        return encode_words(words, self.vocabulary, spec, characters=characters)

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def files(self) -> dict[str, bytes]:
        return {VOCABULARY_FILE: self.vocabulary.to_bytes()}


def read_lexicon(folder: Path, names: Collection[str]) -> Lexicon:
    """The lexicon of a bundle that lists the files `names`. Raises BundleError."""
    if VOCABULARY_FILE not in names:
        raise BundleError(f"Bundle {folder}: bundle.json does not list {VOCABULARY_FILE}.")
    return WordLexicon(vocabulary=Vocabulary.read(folder / VOCABULARY_FILE))
