"""8-bit graphs: made of a graph in single precision and training rows, and what they win and cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from triad_serving.contract.outputs import media_subsets
from triad_serving.inference.bundle import Compression
from triad_serving.media.example import ModelInputs
from triad_training.compression.compare import Comparison, Variant
from triad_training.compression.quantize import quantize_dynamic, quantize_static
from triad_training.data.dataset import ExampleDataset

CALIBRATION_EXAMPLES = 256
CALIBRATION_BATCH = 8  # times the subsets of media


def with_int8(variant: Variant, kind: Literal["static", "dynamic"], train: ExampleDataset) -> Variant:
    """The same model. train: its training rows, on some of which a static one is calibrated."""
    if kind == "dynamic":
        graph = quantize_dynamic(variant.graph)
    else:
        graph = quantize_static(variant.graph, train.spec, _calibration(train.unchanged()))
    return replace(variant, name=f"int8 {kind}", graph=graph)


def summarise(comparison: Comparison, original: str, sha256: str, steps: Sequence[str]) -> Compression:
    """Of the last variant against the first. original, sha256: name and version, and graph, of the first."""
    result = comparison.result
    return Compression(
        original=original,
        original_sha256=sha256,
        steps=tuple(steps),
        size=result.size / comparison.variants[0].size,
        speed=result.speed,
        difference=result.difference,
        drop=result.drop.points if result.drop else None,
    )


def int8_section(comparison: Comparison) -> str:
    """Of the model card, where both graphs are in the bundle."""
    return f"\n## With 8-bit weights\n\nWhat a CPU runs where it is faster.\n\n{comparison.table()}\n"


def _calibration(dataset: ExampleDataset) -> Iterator[list[ModelInputs]]:
    """Every subset of the media of some examples, always the same: the fusion's ranges hold for each."""
    drawn = np.random.default_rng(0).permutation(len(dataset))[:CALIBRATION_EXAMPLES]
    for start in range(0, len(drawn), CALIBRATION_BATCH):
        group = [dataset[int(i)].inputs for i in drawn[start : start + CALIBRATION_BATCH]]
        yield [inputs.only(*subset) for inputs in group for subset in media_subsets(inputs.media)]
