"""Names beside each other over a line, on as many lines as that takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MOST_LANES = 4


def in_lanes(spans: Sequence[tuple[float, float]], width: float) -> Iterator[tuple[int, float]]:
    """Lane and left end of each name, lane -1 where it has no room in any; spans: middle and width, in order.

    width: of the line, which no name leaves.
    """
    ends = [0.0] * MOST_LANES
    for middle, wide in spans:
        left = min(max(middle - wide / 2, 0.0), max(width - wide, 0.0))
        lane = next((n for n, end in enumerate(ends) if end <= left), -1)
        if lane >= 0:
            ends[lane] = left + wide
        yield lane, left
