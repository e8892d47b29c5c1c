"""Text by a pretrained model's own tokenizer.json, with the library `tokenizers`.

Ids are the tokenizer's plus FIRST_ID, because 0 pads and 1 is unknown in every model's graph. What a model
wants before and behind a text ([CLS], <s>, ...) is added in the graph: nobody sent it, so that no attention
can fall on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from triad_serving.contract.errors import BundleError, SetupError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.ngrams import NGRAMS_FILE, Ngrams
from triad_serving.media.text.spec import UNKNOWN_ID, TextInput, TextSpec
from triad_serving.media.text.words import Word, check_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
FIRST_ID = UNKNOWN_ID + 1


class TokenizerLexicon:
    """A Lexicon whose words are the tokenizer's pieces."""

    def __init__(self, source: bytes, ngrams: Ngrams | None = None) -> None:
        """source: tokenizer.json. Raises SetupError without the library, BundleError where it is broken."""
        self._source = source
        self.ngrams = ngrams
        self._tokenizer = _parse(source)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.unknown = _unknown_id(json.loads(source), self._tokenizer)

    def words(self, text: str, spec: TextSpec, limits: MediaLimits) -> tuple[Word, ...]:  # noqa: ARG002
        check_text(text, limits)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if not encoding.ids:  # of nothing but characters that this tokenizer drops
            return (Word(text, 0, len(text)),)
        spans = (_without_space(text, *span) for span in encoding.offsets)
        return tuple(Word(token, *span) for token, span in zip(encoding.tokens, spans, strict=True))

    def encode(self, words: Sequence[Word], spec: TextSpec, *, text: str) -> TextInput:
        kept = words[: spec.max_tokens]
        item = TextInput(
            text=text,
            ids_L=np.array([self.id_of(word.text) for word in kept], dtype=np.int64),
            spans=tuple((word.start, word.end) for word in kept),
            truncated=len(words) > len(kept),
        )
        return self.ngrams.read_in(item, spec) if self.ngrams else item

    def id_of(self, token: str) -> int:
        own = self._tokenizer.token_to_id(token)
        return UNKNOWN_ID if own is None or own == self.unknown else own + FIRST_ID

    def surroundings(self) -> tuple[list[int], list[int]]:
        """The tokenizer's own ids of what it puts before and behind a text."""
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        dressed = self._tokenizer.encode("a", add_special_tokens=True).ids
        start = next(i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare)
        return dressed[:start], dressed[start + len(bare) :]

    @property
    def size(self) -> int:
        return self._tokenizer.get_vocab_size() + FIRST_ID

    def files(self) -> dict[str, bytes]:
        return {TOKENIZER_FILE: self._source} | ({NGRAMS_FILE: self.ngrams.to_bytes()} if self.ngrams else {})

    def with_ngrams(self, ngrams: Ngrams | None) -> TokenizerLexicon:
        """The same with these, or none."""
        return TokenizerLexicon(self._source, ngrams)


def _parse(source: bytes) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise SetupError(
            "This model reads text by a tokenizer.json: pip install triad-serving[tokenizer]"
        ) from error
    try:
        return Tokenizer.from_buffer(source)
    except Exception as error:  # tokenizers raises Exception itself
        raise BundleError(f"{TOKENIZER_FILE} cannot be read: {error}.") from error


def _unknown_id(document: dict[str, dict[str, int | str | None]], tokenizer: Tokenizer) -> int | None:
    """Of WordPiece and BPE by name, of Unigram by id; none where every text can be written."""
    model = document["model"]
    number, name = model.get("unk_id"), model.get("unk_token")
    if isinstance(number, int):
        return number
    return tokenizer.token_to_id(name) if isinstance(name, str) else None


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """Many tokenizers count the space before a word as part of it."""
    while start < end and text[start].isspace():
        start += 1
    return start, end
