"""The answer of /v1/embed: a vector of each medium that was sent, and of all together.

Shape letter: D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field, WithJsonSchema

from triad_serving.contract.arrays import F32
from triad_serving.contract.device import Precision
from triad_serving.contract.errors import UnanswerableError
from triad_serving.contract.schema import Schema
from triad_serving.inference.answer import InputsReport
from triad_serving.inference.options import ModelChoice
from triad_serving.media.registry import NAMES

FUSED = "fused"
PARTS = (*NAMES, FUSED)
DECIMALS = 7  # of numbers within [-1, 1]: half a float32's last digit near 1
Part: TypeAlias = Annotated[str, WithJsonSchema({"enum": list(PARTS), "type": "string"})]


class EmbedOptions(ModelChoice):
    """Which model is to embed."""


class EmbeddingAnswer(Schema):
    id: str = Field(description="Also in `X-Request-ID`.", examples=["req-5f2b1c0a9d3e4f60"])
    model: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    precision: Precision = Field(description="Of the numbers that the graph computed with.")
    width: int = Field(description="Numbers in each vector.", examples=[64])
    inputs: InputsReport
    embeddings: dict[Part, list[float]] = Field(
        description="Of each medium that was sent, and of all together: `fused`. Each has length 1.",
        examples=[{"text": [0.6, -0.8], "fused": [0.6, -0.8]}],
    )
    warnings: list[str] = Field(
        description="What may make the vectors worse than they could be.", examples=[["The sound is silent."]]
    )


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """vectors_D: by medium that was sent, and "fused"; each has length 1."""

    id: str
    model: str
    version: str
    precision: Precision
    inputs: InputsReport
    vectors_D: Mapping[str, F32]
    warnings: list[str]

    def answer(self) -> EmbeddingAnswer:
        vectors = {
            name: vector_D.astype(np.float64).round(DECIMALS).tolist()
            for name, vector_D in self.vectors_D.items()
        }
        return EmbeddingAnswer(
            id=self.id,
            model=self.model,
            version=self.version,
            precision=self.precision,
            width=len(self.vectors_D[FUSED]),
            inputs=self.inputs,
            embeddings=vectors,
            warnings=self.warnings,
        )

    def to_json(self, *, indent: int | None = None) -> str:
        return self.answer().to_json(indent=indent)


def require_finite(vectors_D: Mapping[str, F32]) -> Mapping[str, F32]:
    """Raises UnanswerableError."""
    if not all(np.isfinite(vector_D).all() for vector_D in vectors_D.values()):
        raise UnanswerableError("The model has no finite vector for this input.")
    return vectors_D
