"""One series: a cost at each of several sizes, and how fast it grows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

STEEP = 1.1  # exponent from which a step counts as worse than linear: repeated runs differ by a tenth


@dataclass(frozen=True, kw_only=True)
class Series:
    """What was measured. points: by size, in ascending order; every point has the same quantities.

    unit: of the size. costs: the quantities that should not grow faster than the size.
    """

    name: str
    unit: str
    costs: Sequence[str]
    points: Mapping[float, Mapping[str, float]]

    def exponent(self, cost: str) -> float:
        """Slope of the straight line through all points, logarithm against logarithm; 1 is linear."""
        sizes, values = self._logarithms(cost)
        return float(np.polyfit(sizes, values, 1)[0])

    def steps(self, cost: str) -> dict[tuple[float, float], float]:
        """The same slope between neighbours, by their sizes."""
        sizes = list(self.points)
        logs, values = self._logarithms(cost)
        return {
            (sizes[i], sizes[j]): (values[j] - values[i]) / (logs[j] - logs[i])
            for i, j in itertools.pairwise(range(len(sizes)))
        }

    def steep(self, cost: str) -> dict[tuple[float, float], float]:
        """Steps that are worse than linear."""
        return {sizes: slope for sizes, slope in self.steps(cost).items() if slope > STEEP}

    def _logarithms(self, cost: str) -> tuple[list[float], list[float]]:
        sizes = [math.log(size) for size in self.points]
        return sizes, [math.log(point[cost]) for point in self.points.values()]
