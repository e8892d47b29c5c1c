"""Text: words with character offsets, then token ids.

`segment_text` then `encode_words`; training drops and splits words between the two.
"""

from __future__ import annotations

import functools
import logging
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jieba
import numpy as np

from service.contract import UNKNOWN_ID, MediaLimits, TextInput, TextSpec
from service.errors import BundleError, DecodeError, TooLargeError

RESERVED = ("<pad>", "<unk>")  # at PAD_ID and UNKNOWN_ID


@dataclass(frozen=True)
class Word:
    """A normalised word and where it stands in the text as sent: [start, end) in code points.

    spans: likewise of each of its characters; where empty, they stand one after another from start.
    """

    text: str
    start: int
    end: int
    spans: tuple[tuple[int, int], ...] = field(default=(), compare=False, repr=False)


class Vocabulary:
    """Words and characters to ids. Ids 0 and 1 are padding and unknown."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """tokens: every entry after the two reserved ones, in id order. Raises BundleError on a repeat."""
        self.tokens = tuple(tokens)
        self._ids = {token: i for i, token in enumerate((*RESERVED, *tokens))}
        if len(self._ids) != len(self.tokens) + len(RESERVED):
            raise BundleError("The vocabulary names a token twice.")

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def id_of(self, token: str) -> int:
        return self._ids.get(token, UNKNOWN_ID)

    def to_bytes(self) -> bytes:
        return "".join(f"{token}\n" for token in self.tokens).encode()

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        try:
            return cls(path.read_text(encoding="utf-8").split("\n")[:-1])
        except UnicodeDecodeError as error:
            raise BundleError(f"The vocabulary {path} is not UTF-8: {error}.") from error


@functools.cache
def segmenter() -> jieba.Tokenizer:
    """The one dictionary of this process; reading it takes about half a second, once.

    Not by jieba's `initialize`: it trusts and writes a cache in the temporary folder, under a name that any
    local user can take first, fails where no folder can be written, and was slower (0.55 s against 0.44 s).
    """
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


def segment_text(text: str, limits: MediaLimits) -> tuple[Word, ...]:
    """Words of a text: NFKC, lower case, cut by jieba, white space dropped.

    Raises TooLargeError over limits.max_characters, DecodeError where no word is left.
    """
    if len(text) > limits.max_characters:
        raise TooLargeError(
            f"The text has {len(text)} characters; at most {limits.max_characters} are read.",
            field="text",
            limit=limits.max_characters,
            value=len(text),
        )
    normal, origin = _normalise(text)
    words = tuple(
        Word(word, origin[start][0], origin[end - 1][1], tuple(origin[start:end]))
        for word, start, end in segmenter().tokenize(normal)
        if not word.isspace()
    )
    if not words:
        raise DecodeError("The text holds no words.", field="text")
    return words


def encode_words(
    words: Sequence[Word], vocabulary: Vocabulary, spec: TextSpec, *, characters: int
) -> TextInput:
    """Token ids of words; a word outside the vocabulary becomes its characters, each with its own offsets.

    characters: length of the text as sent, for the answer.
    """
    tokens: list[Word] = []
    for word in words:
        tokens += (word,) if word.text in vocabulary else spell_out(word)
    kept = tokens[: spec.max_tokens]
    return TextInput(
        ids_L=np.array([vocabulary.id_of(token.text) for token in kept], dtype=np.int64),
        spans=tuple((token.start, token.end) for token in kept),
        characters=characters,
        truncated=len(tokens) > len(kept),
    )


def spell_out(word: Word) -> tuple[Word, ...]:
    """The characters of a word, each with its own place in the text as sent."""
    spans = word.spans or [(i, i + 1) for i in range(word.start, word.end)]
    return tuple(Word(character, *span) for character, span in zip(word.text, spans, strict=True))


def _normalise(text: str) -> tuple[str, Sequence[tuple[int, int]]]:
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
