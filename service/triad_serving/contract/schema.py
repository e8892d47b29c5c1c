"""The base of everything that is answered as JSON.

A field that does not apply is absent, never null: serialise with `to_json`.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from triad_serving.contract.arrays import F32

Absent = SkipJsonSchema[None]  # absent rather than null, so the schema need not offer null

ROLLOUT = "The weight traced back through the layers of fusion: attention rollout."
DROP = "How far the target's probability (a regression's value) falls without it; below 0: it rises."


class Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self, *, indent: int | None = None) -> str:
        return self.model_dump_json(exclude_none=True, indent=indent)


DECIMALS = 6  # of shares and seconds; float32 noise would print as 0.9800000190734863


def rounded(values: F32) -> list[float]:
    listed: list[float] = values.astype(np.float64).round(DECIMALS).tolist()
    return listed
