"""Parts of media whose tokens stand in a line, as words, moments and fields do."""

from __future__ import annotations

from collections.abc import Iterator

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName
from triad_serving.media.medium import Part


def parts_along(medium: MediumName, tokens: int, most: int) -> Iterator[Part]:
    """Parts of equal length, but for the last."""
    step = -(-tokens // most)
    for first in range(0, tokens, step):
        yield Part(medium=medium, first=first, last=min(first + step, tokens))


def weight_along(weights: F32, part: Part) -> float:
    return float(weights[part.first : part.last].sum())
