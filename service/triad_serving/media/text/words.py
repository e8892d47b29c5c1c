"""Text: words with character offsets, then token ids.

`segment_text` then `encode_words`; training drops and splits words between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triad_serving.contract.errors import BundleError, DecodeError, TooLargeError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.characters import normalise
from triad_serving.media.text.segmenter import Segmenter
from triad_serving.media.text.spec import POS_IDS, UNKNOWN_ID, TextInput, TextSpec

RESERVED = ("<pad>", "<unk>")  # at PAD_ID and UNKNOWN_ID


class Word(NamedTuple):
    """A normalised word and where it stands in the text as sent: [start, end) in code points.

    spans: likewise of each of its characters; where empty, they stand one after another from start.
    pos: its part of speech where the spec asks for it, else "".
    """

    text: str
    start: int
    end: int
    spans: tuple[tuple[int, int], ...] = ()
    pos: str = ""


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


def check_text(text: str, limits: MediaLimits) -> None:
    """Raises TooLargeError over limits.max_characters, DecodeError where there is no word in it."""
    if len(text) > limits.max_characters:
        raise TooLargeError(
            f"The text has {len(text)} characters; at most {limits.max_characters} are read.",
            field="text",
            limit=limits.max_characters,
            value=len(text),
        )
    if not text.strip():  # nothing else becomes white space in normal form
        raise DecodeError("The text holds no words.", field="text")


def segment_text(
    text: str, limits: MediaLimits, segmenter: Segmenter, *, pos: bool = False
) -> tuple[Word, ...]:
    """Words of a text: NFKC, lower case, cut by jieba, white space dropped; tagged where `pos` says so.

    Raises as check_text does.
    """
    check_text(text, limits)
    normal, origin = normalise(text)
    words = []
    for word, first, last in segmenter.cut(normal):
        if word.isspace():
            continue
        tag = segmenter.tag(word) if pos else ""
        if origin is None:
            words.append(Word(word, first, last, (), tag))
        else:
            spans = tuple(origin[first:last])
            words.append(Word(word, spans[0][0], spans[-1][1], spans, tag))
    return tuple(words)


def encode_words(words: Sequence[Word], vocabulary: Vocabulary, spec: TextSpec, *, text: str) -> TextInput:
    """Token ids of words; a word outside the vocabulary becomes its characters, each with its own offsets.

    text: as sent, for the answer.
    """
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    tags: list[int] = []
    for word in words:
        if len(ids) > spec.max_tokens:
            break
        if word.text in vocabulary:
            ids.append(vocabulary.id_of(word.text))
            spans.append((word.start, word.end))
        else:
            ids += map(vocabulary.id_of, word.text)
            spans += _spans_of(word)
        tags += [POS_IDS.get(word.pos, 0)] * (len(ids) - len(tags))
    kept = slice(spec.max_tokens)
    return TextInput(
        text=text,
        ids_L=np.array(ids[kept], dtype=np.int64),
        pos_L=np.array(tags[kept], dtype=np.int64) if spec.pos else None,
        spans=tuple(spans[kept]),
        truncated=len(ids) > spec.max_tokens,
    )


def spell_out(word: Word) -> tuple[Word, ...]:
    """The characters of a word, each with its own place in the text as sent."""
    return tuple(
        Word(character, *span, pos=word.pos)
        for character, span in zip(word.text, _spans_of(word), strict=True)
    )


def _spans_of(word: Word) -> Sequence[tuple[int, int]]:
    """Of each of its characters."""
    return word.spans or [(i, i + 1) for i in range(word.start, word.end)]
