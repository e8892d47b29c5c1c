"""What every section of a training config is made of."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"the range begins at {values[0]:g}, above its end {values[1]:g}")
    return values


Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Range: TypeAlias = Annotated[tuple[float, float], AfterValidator(_ordered)]
Shares: TypeAlias = Annotated[tuple[Fraction, Fraction], AfterValidator(_ordered)]
Factors: TypeAlias = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
