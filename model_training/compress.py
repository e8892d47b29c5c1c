"""`triad compress`: a bundle becomes a smaller, faster one, or nothing where that costs too much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from model_training.card import model_card
from model_training.compare import Comparison, Variant, compare
from model_training.dataset import ExampleDataset
from model_training.evaluate import open_table
from model_training.half import convert_to_half
from model_training.manifest import Example
from model_training.quantize import quantize_dynamic, quantize_static
from service.bundle import (
    CARD_FILE,
    MODEL_FILE,
    Bundle,
    BundleManifest,
    Compression,
    read_bundle,
    write_bundle,
)
from service.contract import ModelInputs, media_subsets
from service.errors import ConfigError

CALIBRATION_EXAMPLES = 256
CALIBRATION_BATCH = 8  # times the subsets of media


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What shall be done, in this order."""

    int8: Literal["static", "dynamic"] | None = None
    fp16: bool = False

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError("Nothing to do: ask for --int8 or --fp16.")
        if self.int8 and self.fp16:
            raise ConfigError(
                "--int8 is for CPUs, --fp16 for GPUs: choose one, and run the command twice for both."
            )

    @property
    def steps(self) -> tuple[str, ...]:
        return ((f"int8 {self.int8}",) if self.int8 else ()) + (("fp16",) if self.fp16 else ())


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """A bundle that is not yet written."""

    comparison: Comparison
    destination: Path
    manifest: BundleManifest
    files: dict[str, bytes]

    def write(self, *, max_drop: float) -> Bundle:
        """Raises CompressionError, before anything is written, past `max_drop` points."""
        self.comparison.require(max_drop)
        return write_bundle(self.destination, self.manifest, self.files)


def compress_bundle(
    bundle_path: Path, table_path: Path, recipe: Recipe, *, out: Path, limit: int | None = None
) -> Compressed:
    """Makes and measures out/<name>/<next version>, which the caller writes.

    table_path: examples as the bundle was trained on; training ones to calibrate, test ones to compare.
    limit: how many of the latter, drawn at random, where not all.
    Raises BundleError, TableError, ConfigError.
    """
    bundle = read_bundle(bundle_path)
    table = open_table(bundle, table_path, ["train", "test"])
    test = table.dataset(_drawn(table.split("test"), limit))
    train = table.dataset(_drawn(table.split("train"), CALIBRATION_EXAMPLES))
    original = bundle.model_path.read_bytes()
    variants = [Variant(name="original", graph=original, tasks=bundle.tasks)]
    if recipe.int8 == "static":
        graph = quantize_static(variants[-1].graph, bundle.spec, _calibration(train))
    elif recipe.int8 == "dynamic":
        graph = quantize_dynamic(variants[-1].graph)
    else:
        graph = convert_to_half(variants[-1].graph)
    variants.append(replace(variants[-1], name=recipe.steps[-1], graph=graph))
    comparison = compare(variants, bundle.spec, test, device="auto" if recipe.fp16 else "cpu")
    manifest = _manifest(bundle, recipe, comparison, version=_next_version(bundle, out))
    card = model_card(manifest, compression=comparison.table())
    files = {MODEL_FILE: graph, CARD_FILE: card.encode()}
    if bundle.lexicon is not None:
        files |= bundle.lexicon.files()
    return Compressed(
        comparison=comparison,
        destination=out / manifest.name / manifest.version,
        manifest=manifest,
        files=files,
    )


def _drawn(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """At most `limit` of them, always the same."""
    order = np.random.default_rng(0).permutation(len(examples))
    return [examples[i] for i in order[:limit]]


def _calibration(dataset: ExampleDataset) -> Iterator[list[ModelInputs]]:
    """Every subset of every example's media, so that the fusion's ranges hold for each."""
    for start in range(0, len(dataset), CALIBRATION_BATCH):
        group = [dataset[i].inputs for i in range(start, min(start + CALIBRATION_BATCH, len(dataset)))]
        yield [inputs.only(*subset) for inputs in group for subset in media_subsets(inputs.media)]


def _manifest(bundle: Bundle, recipe: Recipe, comparison: Comparison, *, version: str) -> BundleManifest:
    original, result = comparison.variants[0], comparison.result
    compression = Compression(
        original=f"{bundle.manifest.name} {bundle.manifest.version}",
        original_sha256=bundle.manifest.files[MODEL_FILE],
        steps=recipe.steps,
        size=result.size / original.size,
        speed=result.speed,
        difference=result.difference,
        drop=result.drop.points if result.drop else None,
    )
    return bundle.manifest.model_copy(
        update={
            "version": version,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "metrics": {"test": result.scores},
            "compression": compression,
        }
    )


def _next_version(bundle: Bundle, out: Path) -> str:
    """One more than the original's, and than any that stands in `out` already."""
    folder = out / bundle.manifest.name
    found = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()] if folder.is_dir() else []
    return str(max([int(bundle.manifest.version), *found]) + 1)
