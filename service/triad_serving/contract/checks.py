"""Checks that several specs share."""

from __future__ import annotations

import math


def require_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, not {value}")
