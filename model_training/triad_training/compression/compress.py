"""`triad compress`: a bundle becomes a smaller, faster one, or nothing where that costs too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.torch import save

from triad_serving.contract.device import Device
from triad_serving.contract.errors import ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import (
    CARD_FILE,
    INT8_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    Bundle,
    BundleManifest,
    read_bundle,
    write_bundle,
)
from triad_training.compression.compare import Comparison, Variant, compare
from triad_training.compression.float16 import convert_to_half
from triad_training.compression.int8 import CALIBRATION_EXAMPLES, int8_section, summarise, with_int8
from triad_training.compression.shrink import (
    SmallerNetwork,
    distil,
    export_network,
    open_network,
    prune_network,
)
from triad_training.evaluation.card import model_card
from triad_training.evaluation.evaluate import BundleTable, open_table
from triad_training.evaluation.history import run_folder
from triad_training.media.example import Example


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What shall be done, in this order. distill: the student's config. prune: see prune.prune.

    beside: keep the original graph, too; a CPU runs the faster one.
    """

    distill: Path | None = None
    prune: float | None = None
    int8: Literal["static", "dynamic"] | None = None
    fp16: bool = False
    beside: bool = False

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError("Nothing to do: ask for --distill, --prune, --int8 or --fp16.")
        if self.int8 and self.fp16:
            raise ConfigError("--int8 is for CPUs, --fp16 for GPUs: choose one of them.")
        if self.beside and (self.int8 is None or len(self.steps) > 1):
            raise ConfigError("--beside keeps the original graph beside that of --int8 alone.")

    @property
    def steps(self) -> tuple[str, ...]:
        return (
            *([f"distilled as {self.distill.stem}"] if self.distill else []),
            *([f"pruned by {self.prune:g}"] if self.prune is not None else []),
            *([f"int8 {self.int8}"] if self.int8 else []),
            *(["fp16"] if self.fp16 else []),
        )


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

    table_path: examples as the bundle was trained on: to fit and calibrate on, and test ones to compare on.
    limit: how many of the latter, drawn at random, where not all.
    Raises BundleError, TableError, ConfigError.
    """
    bundle = read_bundle(bundle_path)
    version = _next_version(bundle, out)
    table = open_table(bundle, table_path, ["train", "validation", "test"])
    variants = [Variant(name="original", graph=bundle.model_path.read_bytes(), tasks=bundle.tasks)]
    small = _shrink(table, recipe, variants, run_folder(bundle.manifest.name, version))
    if recipe.int8:
        train = table.dataset(_drawn(table.split("train"), CALIBRATION_EXAMPLES))
        variants.append(with_int8(variants[-1], recipe.int8, train))
    if recipe.fp16:
        variants.append(replace(variants[-1], name="fp16", graph=convert_to_half(variants[-1].graph)))
    test = table.dataset(_drawn(table.split("test"), limit))
    device: Device = "auto" if recipe.fp16 else "cpu"
    searches = table.config.has_shared_space
    comparison = compare(variants, bundle.spec, test, device=device, folder=bundle.path, searches=searches)
    manifest = _manifest(bundle, recipe, comparison, small, tasks=variants[-1].tasks, version=version)
    card = _card(bundle, manifest, comparison)
    made = {INT8_FILE if recipe.beside else MODEL_FILE: variants[-1].graph, CARD_FILE: card.encode()}
    if small is not None and not recipe.int8 and not recipe.fp16:
        made[WEIGHTS_FILE] = save(small.model.state_dict())
    others = bundle.manifest.files.keys() - (
        {CARD_FILE, INT8_FILE} if recipe.beside else {MODEL_FILE, CARD_FILE, INT8_FILE, WEIGHTS_FILE}
    )
    return Compressed(
        comparison=comparison,
        destination=out / manifest.name / manifest.version,
        manifest=manifest,
        files=made | {name: (bundle.path / name).read_bytes() for name in others},
    )


def _shrink(table: BundleTable, recipe: Recipe, variants: list[Variant], run: Path) -> SmallerNetwork | None:
    """Takes the steps that change the network, and appends what each makes of it."""
    if recipe.distill is None and recipe.prune is None:
        return None
    small = open_network(table)
    if recipe.distill is not None:
        small = distil(small, recipe.distill, run / "distilled")
        variants.append(export_network(small, recipe.steps[0]))
    if recipe.prune is not None:
        small = prune_network(small, recipe.prune, run / "pruned")
        variants.append(export_network(small, recipe.steps[len(variants) - 1]))
    return small


def _drawn(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """At most `limit` of them, always the same."""
    order = np.random.default_rng(0).permutation(len(examples))
    return [examples[i] for i in order[:limit]]


def _manifest(
    bundle: Bundle,
    recipe: Recipe,
    comparison: Comparison,
    small: SmallerNetwork | None,
    *,
    tasks: tuple[Task, ...],
    version: str,
) -> BundleManifest:
    original = f"{bundle.manifest.name} {bundle.manifest.version}"
    compression = summarise(comparison, original, bundle.manifest.files[MODEL_FILE], recipe.steps)
    written = {"version": version, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    if recipe.beside:
        return bundle.manifest.model_copy(update={**written, "int8": compression})
    changes: dict[str, Any] = {
        **written,
        "int8": None,
        "tasks": tasks,
        "metrics": {"test": comparison.result.scores},
        "intervals": {"test": comparison.intervals},
        "retrieval": {"test": comparison.result.retrieval} if comparison.result.retrieval else {},
        "compression": compression,
    }
    if small is not None:
        changes["parameters"] = sum(parameter.numel() for parameter in small.model.parameters())
        changes["training"] = small.config.portable()
    return bundle.manifest.model_copy(update=changes)


def _card(bundle: Bundle, manifest: BundleManifest, comparison: Comparison) -> str:
    if manifest.int8 is None:
        return model_card(manifest, compression=comparison.table())
    _, _, rest = (bundle.path / CARD_FILE).read_text(encoding="utf-8").partition("\n")
    return f"# {manifest.name}, version {manifest.version}\n{rest}{int8_section(comparison)}"


def _next_version(bundle: Bundle, out: Path) -> str:
    """One more than the original's, and than any that stands in `out` already."""
    folder = out / bundle.manifest.name
    found = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()] if folder.is_dir() else []
    return str(max([int(bundle.manifest.version), *found]) + 1)
