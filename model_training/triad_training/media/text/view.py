"""A text on a report's page, with the attention on its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triad_serving.media.text.schemas import WordAttention

MOST_CHARACTERS = 400


@dataclass(frozen=True, kw_only=True)
class TextView:
    """pieces: of the text, each with its attention, relative to the most attended word."""

    pieces: list[tuple[str, float]]


def view_text(text: str, section: Sequence[WordAttention]) -> TextView:
    """The whole text in pieces, what lies between tokens included, cut off after MOST_CHARACTERS."""
    most = max((word.weight for word in section), default=0) or 1.0
    pieces: list[tuple[str, float]] = []
    at = 0
    for word in section:
        if word.end > MOST_CHARACTERS:
            break
        pieces += [(text[at : word.start], 0.0), (text[max(word.start, at) : word.end], word.weight / most)]
        at = max(at, word.end)
    rest = text[at:] if len(text) <= MOST_CHARACTERS else f"{text[at:MOST_CHARACTERS]}…"
    return TextView(pieces=[(piece, weight) for piece, weight in [*pieces, (rest, 0.0)] if piece])
