"""Ways to make a medium worse, to see how fast the answers do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from triad_serving.contract.outputs import MediumName


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """levels: mildest first; None is the medium as it was sent. cause: a phrase, with the level in {}.

    apply: from what was decoded and a level to another of the same type.
    """

    kind: str
    medium: MediumName
    unit: str
    levels: tuple[float | None, ...]
    cause: str
    apply: Callable[[Any, float, np.random.Generator], Any]
