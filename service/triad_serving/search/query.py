"""Which vectors of a query are compared with which of the rows.

A model that was trained to align its media (optim.contrast) has one space for all: there the query's fused
vector is compared with whatever a row has. Of any other each medium is compared with its own kind alone.
Shape letter: D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import ParameterError
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.embedding import FUSED

SHORTEST = 1e-6


def aligned(manifest: BundleManifest) -> bool:
    """Whether its media are in one space."""
    return float(manifest.training.get("optim", {}).get("contrast", 0)) > 0


def compared(parts: Sequence[str], by: str | None) -> tuple[str, ...]:
    """Which of the rows' vectors: one part's, or each medium's. Raises ParameterError."""
    if by is None:
        return tuple(part for part in parts if part != FUSED)
    if by not in parts:
        raise ParameterError(f"by: this index has {', '.join(parts)}.", field="by", value=by)
    return (by,)


def query_vectors(
    vectors_D: Mapping[str, F32], parts: Sequence[str], manifest: BundleManifest
) -> dict[str, F32]:
    """By part that can be compared, the query's vector for it. vectors_D: of the query's media, and fused.

    Raises ParameterError where none can be.
    """
    if aligned(manifest):
        return dict.fromkeys(parts, vectors_D[FUSED])
    found = {part: vectors_D[part] for part in parts if part in vectors_D}
    if not found:
        sent = ", ".join(name for name in vectors_D if name != FUSED)
        raise ParameterError(
            f"{manifest.name} {manifest.version} was not trained to compare {sent} with {', '.join(parts)} "
            "(optim.contrast).",
            field="by",
        )
    return found


def unit(vector_D: F32) -> F32:
    """Of length 1. Raises ParameterError where it has none."""
    length = float(np.linalg.norm(vector_D))
    if not (np.isfinite(length) and length > SHORTEST):
        raise ParameterError("vector: its length must be above 0, and finite.", field="vector")
    return np.asarray(vector_D / np.float32(length), np.float32)
