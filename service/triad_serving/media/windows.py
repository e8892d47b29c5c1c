"""A recording that is longer than a model reads at once, as windows that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """item: of the medium. first: its first token among those of the whole.

    kept: the tokens of its own that count where windows are joined: up to the middle of each overlap, so that
    every token of the whole counts once, and its window hears what is around it.
    """

    item: Any
    first: int
    kept: slice


def spread(tokens: int, *, longest: int, overlap: int) -> Sequence[tuple[int, slice]]:
    """First token and kept tokens of each window. longest: tokens of a window, more than the overlap."""
    if tokens <= longest:
        return [(0, slice(0, tokens))]
    starts = list(range(0, tokens - overlap, longest - overlap))
    edges = [0, *(start + overlap // 2 for start in starts[1:]), tokens]
    return [
        (start, slice(left - start, right - start))
        for start, left, right in zip(starts, edges, edges[1:], strict=False)
    ]
