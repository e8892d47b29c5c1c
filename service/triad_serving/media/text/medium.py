"""Text as a medium."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triad_serving.contract.arrays import F32, I64, Feed
from triad_serving.contract.errors import DecodeError
from triad_serving.contract.language import Language
from triad_serving.contract.schema import rounded
from triad_serving.media.figures import Figure, Scale, Words
from triad_serving.media.limits import MediaLimits
from triad_serving.media.line import parts_along, weight_along
from triad_serving.media.medium import Examples, GraphInput, Part, RequestPart
from triad_serving.media.padding import Padding, length_class
from triad_serving.media.text.drawing import Section, draw_words, note_cut, values_of
from triad_serving.media.text.lexicon import Lexicon, read_lexicon
from triad_serving.media.text.ngrams import FIRST_ID
from triad_serving.media.text.schemas import TextFormat, TextReport, WordAttention, WordOcclusion
from triad_serving.media.text.spec import PAD_ID, SHORT_TOKENS, UNKNOWN_ID, TextInput, TextSpec
from triad_serving.media.text.words import Word

SHORT_NGRAMS = 64  # up to which texts pad each other where sizes are rounded
NO_NGRAMS = np.zeros((0, 3), dtype=np.int64)
FIRST_NGRAM = np.array([[FIRST_ID, 0, 0]], dtype=np.int64)
UTF8_BYTES = 4  # most bytes of one character
WARM_UP_TEXT = "七 seven"


class Cut(NamedTuple):
    """A text as sent, and its words."""

    text: str
    words: Sequence[Word]


class TextMedium:
    """See Medium."""

    name = "text"
    titles: Mapping[Language, str] = {"en": "text", "zh": "文字"}
    request = RequestPart(
        schema={
            "type": "string",
            "description": "UTF-8; Chinese and English.",
            "examples": ["这是数字七"],
        }
    )
    examples: Examples | None = Examples(
        report={"characters": 5, "tokens": 2, "truncated": False},
        attention=[
            {"token": "数字", "start": 2, "end": 4, "weight": 0.03, "rollout": 0.08},
            {"token": "七", "start": 4, "end": 5, "weight": 0.18, "rollout": 0.2},
        ],
        occlusion=[
            {"token": "数字", "start": 2, "end": 4, "drop": 0.001, "weight": 0.03},
            {"token": "七", "start": 4, "end": 5, "drop": 0.09, "weight": 0.18},
        ],
        share=0.21,
        contribution=0.2,
    )

    def max_bytes(self, limits: MediaLimits) -> int:
        return UTF8_BYTES * limits.max_characters

    def parse(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(
                f"The text is not UTF-8 (byte {error.start} cannot be decoded).", field=self.name
            ) from error

    def open_asset(self, folder: Path, names: Collection[str]) -> Lexicon:
        return read_lexicon(folder, names)

    def decode(self, raw: str, spec: TextSpec, asset: Lexicon, limits: MediaLimits) -> Cut:
        return Cut(raw, asset.words(raw, spec, limits))

    def fit(self, decoded: Cut, spec: TextSpec, asset: Lexicon) -> TextInput:
        return asset.encode(decoded.words, spec, text=decoded.text)

    def read(self, raw: str, spec: TextSpec, asset: Lexicon, limits: MediaLimits) -> TextInput:
        return self.fit(self.decode(raw, spec, asset, limits), spec, asset)

    def inputs(self, spec: TextSpec) -> tuple[GraphInput, ...]:
        names = ["token_ids", *["pos_ids"] * spec.pos]
        names += ["ngram_ids", "ngram_places"] if spec.max_ngrams else []
        return tuple(GraphInput(name=name, type="tensor(int64)", axes=2) for name in names)

    def pack(self, items: Sequence[TextInput], spec: TextSpec, padding: Padding) -> Feed:
        feed: Feed = {"token_ids": _pack_ids([item.ids_L for item in items], spec, padding)}
        if spec.pos:
            tags = [np.zeros_like(item.ids_L) if item.pos_L is None else item.pos_L for item in items]
            feed["pos_ids"] = _pack_ids(tags, spec, padding)
        if spec.max_ngrams:
            ngrams = [NO_NGRAMS if item.ngrams_G3 is None else item.ngrams_G3 for item in items]
            longest = max((len(each) for each in ngrams), default=1) or 1
            size = padding.length(longest, least=SHORT_NGRAMS, most=spec.max_ngrams)
            packed_NG2 = np.zeros((padding.count(len(items)), size, 2), dtype=np.int64)
            for n, ngrams_G3 in enumerate(ngrams):
                packed_NG2[n, : len(ngrams_G3)] = ngrams_G3[:, :2]
            feed |= {"ngram_ids": packed_NG2[:, :, 0].copy(), "ngram_places": packed_NG2[:, :, 1].copy()}
        return feed

    def token_count(self, item: TextInput, spec: TextSpec) -> int:
        return len(item.ids_L)

    def length_class(self, item: TextInput) -> int:
        return length_class(len(item.ids_L), short=SHORT_TOKENS)

    def blank(self, spec: TextSpec, asset: Lexicon) -> TextInput:
        return self.read(WARM_UP_TEXT, spec, asset, MediaLimits())

    def resized(self, item: TextInput, spec: TextSpec, *, longest: bool) -> TextInput:
        size = spec.max_tokens if longest else 1
        tags = None if item.pos_L is None else np.resize(item.pos_L, size)
        ngrams_G3 = item.ngrams_G3
        if ngrams_G3 is not None and spec.max_ngrams:
            most = spec.max_ngrams if longest else 1
            ngrams_G3 = np.resize(ngrams_G3 if len(ngrams_G3) else FIRST_NGRAM, (most, 3))
            ngrams_G3[:, 1:] = ngrams_G3[:, 1:].clip(max=size - 1)
        return dataclasses.replace(item, ids_L=np.resize(item.ids_L, size), pos_L=tags, ngrams_G3=ngrams_G3)

    def describe_format(self, spec: TextSpec, asset: Lexicon) -> TextFormat:
        return TextFormat(max_tokens=spec.max_tokens, vocabulary=asset.size)

    def describe_spec(self, spec: TextSpec, asset: Lexicon) -> str:
        return f"up to {spec.max_tokens} tokens of {asset.size} known"

    def describe_item(self, item: TextInput, spec: TextSpec) -> TextReport:
        return TextReport(characters=len(item.text), tokens=len(item.ids_L), truncated=item.truncated)

    def warnings(self, item: TextInput, spec: TextSpec) -> Iterator[str]:
        if item.truncated:
            yield f"The text was cut off after {spec.max_tokens} tokens."
        if (item.ids_L == UNKNOWN_ID).all():
            yield "The model knows no word of the text."

    def describe_attention(
        self,
        item: TextInput,
        spec: TextSpec,
        weights: F32,
        rollout: F32,
    ) -> list[WordAttention]:
        pairs = zip(item.spans, rounded(weights), rounded(rollout), strict=True)
        return [
            WordAttention(token=item.text[start:end], start=start, end=end, weight=weight, rollout=traced)
            for (start, end), weight, traced in pairs
        ]

    def parts(self, item: TextInput, spec: TextSpec, *, most: int) -> Sequence[Part]:
        return list(parts_along(self.name, len(item.ids_L), most))

    def hide(self, item: TextInput, parts: Sequence[Part], spec: TextSpec) -> TextInput | None:
        """Words are left out."""
        left_out = {token for part in parts for token in range(part.first, part.last)}
        kept = [token for token in range(len(item.ids_L)) if token not in left_out]
        if not kept:
            return None
        pos_L = None if item.pos_L is None else item.pos_L[kept]
        spans = tuple(item.spans[token] for token in kept)
        ngrams_G3 = None if item.ngrams_G3 is None else _within(item.ngrams_G3, kept, len(item.ids_L))
        return dataclasses.replace(
            item, ids_L=item.ids_L[kept], pos_L=pos_L, spans=spans, ngrams_G3=ngrams_G3
        )

    def weight(self, weights: F32, part: Part, spec: TextSpec) -> float:
        return weight_along(weights, part)

    def describe_occlusion(
        self,
        item: TextInput,
        spec: TextSpec,
        parts: Sequence[Part],
        drops: Sequence[float],
        weights: Sequence[float],
    ) -> list[WordOcclusion]:
        return [
            WordOcclusion(token=item.text[start:end], start=start, end=end, drop=drop, weight=weight)
            for part, drop, weight in zip(parts, drops, weights, strict=True)
            for start, end in [(item.spans[part.first][0], item.spans[part.last - 1][1])]
        ]

    def canvas(self, raw: str, spec: TextSpec, limits: MediaLimits) -> str:
        return raw

    def values(self, section: Section) -> list[float]:
        return values_of(section)

    def draw(
        self, canvas: str, section: Section, values: Sequence[float], *, scale: Scale, title: str
    ) -> Words:
        return draw_words(canvas, section, values, scale, title)

    def notes(self, canvas: str, figures: Sequence[Figure], language: Language) -> Iterator[str]:
        return note_cut(canvas, figures, language)


def _within(ngrams_G3: I64, kept: Sequence[int], tokens: int) -> I64:
    """Those of which every token is kept, with their new places."""
    place_L = np.full(tokens + 1, -1)
    place_L[list(kept)] = np.arange(len(kept))
    ids_G, first_G, last_G = ngrams_G3.T
    hidden_L = np.concatenate([[0], np.cumsum(place_L[:-1] < 0)])  # how many before each token
    whole_G = hidden_L[last_G + 1] == hidden_L[first_G]
    within_G3: I64 = np.stack([ids_G, place_L[first_G], place_L[last_G]], axis=1)[whole_G]
    return within_G3


def _pack_ids(texts: Sequence[I64], spec: TextSpec, padding: Padding) -> I64:
    longest = max((len(ids_L) for ids_L in texts), default=1)
    length = padding.length(longest, least=SHORT_TOKENS, most=spec.max_tokens)
    ids_NL = np.full((padding.count(len(texts)), length), PAD_ID, dtype=np.int64)
    for n, ids_L in enumerate(texts):
        ids_NL[n, : len(ids_L)] = ids_L
    return ids_NL


TEXT = TextMedium()
