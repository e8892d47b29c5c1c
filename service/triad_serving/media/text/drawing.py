"""A text as a drawing shows it: in pieces, not too many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triad_serving.contract.language import Language
from triad_serving.media.figures import Figure, Scale, Words
from triad_serving.media.text.schemas import WordAttention, WordOcclusion

MOST_CHARACTERS, TAIL = 1000, 120
CHARACTERS: dict[Language, str] = {
    "en": "Of the {all} characters of the text, those that were read are shown.",
    "zh": "文字共 {all} 个字符，只显示读取的部分。",
}

Section = Sequence[WordAttention | WordOcclusion]


def values_of(section: Section) -> list[float]:
    return [word.drop if isinstance(word, WordOcclusion) else word.weight for word in section]


def draw_words(text: str, section: Section, values: Sequence[float], scale: Scale, title: str) -> Words:
    pieces = pieces_of(text, [(word.start, word.end) for word in section])
    return Words(
        title=title,
        scale=scale,
        pieces=tuple((piece, None if n is None else values[n]) for piece, n in pieces),
    )


def note_cut(text: str, figures: Sequence[Figure], language: Language) -> Iterator[str]:
    """Where a figure shows less than the whole text."""
    shown = [sum(len(piece) for piece, _ in each.pieces) for each in figures if isinstance(each, Words)]
    if shown and min(shown) < len(text):
        yield CHARACTERS[language].format(all=len(text))


def pieces_of(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, int | None]]:
    """The text in pieces, each with the index of its span, None between spans.

    At most MOST_CHARACTERS, of which TAIL behind the last span: what the model did not read. spans: [start,
    end) in characters, in order; where two overlap, the first has what both have.
    """
    pieces: list[tuple[str, int | None]] = []
    at = 0
    for n, (start, end) in enumerate(spans):
        if end > MOST_CHARACTERS:
            break
        pieces += [(text[at:start], None), (text[max(start, at) : end], n)]
        at = max(at, end)
    cut = min(MOST_CHARACTERS, at + TAIL)
    rest = text[at:] if len(text) <= cut else f"{text[at:cut]}…"
    return [(piece, n) for piece, n in [*pieces, (rest, None)] if piece]
