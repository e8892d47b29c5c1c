"""Catalog: every served model and version, loaded and warmed up."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from triad_serving.contract.errors import BundleError, NotFoundError
from triad_serving.contract.outputs import Wanted
from triad_serving.inference.bundle import Bundle, find_bundles, read_bundle
from triad_serving.inference.graph_file import check_graph
from triad_serving.inference.session import Session
from triad_serving.inference.signature import check_signature
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.registry import present
from triad_serving.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One served version: its bundle and its loaded graph."""

    bundle: Bundle
    session: Session

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def version(self) -> str:
        return self.bundle.manifest.version


class Catalog:
    """Models by name and version."""

    def __init__(self, models: Iterable[Model]) -> None:
        """Raises BundleError where two are the same version of the same model, or there is none."""
        self._models: dict[str, dict[str, Model]] = {}
        for model in sorted(models, key=lambda model: (model.name, int(model.version))):
            versions = self._models.setdefault(model.name, {})
            if model.version in versions:
                both = f"{versions[model.version].bundle.path} and {model.bundle.path}"
                raise BundleError(f"Two bundles are {model.name} version {model.version}: {both}.")
            versions[model.version] = model
        if not self._models:
            raise BundleError("There is no model to serve.")

    @property
    def names(self) -> list[str]:
        return list(self._models)

    @property
    def models(self) -> list[Model]:
        """Every version of every model."""
        return [model for versions in self._models.values() for model in versions.values()]

    @property
    def on_gpu(self) -> bool:
        return any(model.session.device == "cuda" for model in self.models)

    def find(self, name: str | None = None, version: str | None = None) -> Model:
        """By default the first model by name, and its highest version. Raises NotFoundError."""
        if name is None:
            name = self.names[0]
        if name not in self._models:
            known = ", ".join(self.names)
            raise NotFoundError(
                f"There is no model {name[:80]!r}; served: {known}.", field="model", value=name
            )
        versions = self._models[name]
        if version is None:
            return list(versions.values())[-1]
        if version not in versions:
            known = ", ".join(versions)
            detail = f"Model {name} has no version {version[:80]!r}; served: {known}."
            raise NotFoundError(detail, field="version", value=version)
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """Of a model that is served, lowest first."""
        return list(self._models[name])


def load_catalog(path: Path, settings: Settings) -> Catalog:
    """Every bundle under a path. Raises BundleError, DeviceError."""
    return Catalog(_load(read_bundle(folder), settings) for folder in find_bundles(path))


def _load(bundle: Bundle, settings: Settings) -> Model:
    if settings.bundle_public_key is not None:
        check_signature(bundle, settings.bundle_public_key)
    check_graph(bundle)
    session = Session(
        bundle.model_path,
        spec=bundle.spec,
        tasks=bundle.tasks,
        device=settings.device,
        gpu_mode=settings.gpu_mode,
        gpu_memory_mib=settings.gpu_memory_mib,
    )
    on_gpu = session.device == "cuda"
    warm_up(
        session,
        bundle,
        largest=settings.max_batch if on_gpu else 1,
        extremes=on_gpu and settings.gpu_mode == "tensorrt",
    )
    return Model(bundle=bundle, session=session)


def warm_up(session: Session, bundle: Bundle, *, largest: int, extremes: bool = False) -> None:
    """Runs blank examples in batches of 1, 2, 4 and so on up to `largest`.

    The first run is the slowest everywhere. CUDA chooses kernels and takes memory anew for each shape.
    extremes: only the smallest batch of the shortest media and the largest of the longest. TensorRT compiles
    anew for a shape outside of those that it has seen.
    """
    sizes = {min(2**power, largest) for power in range(largest.bit_length() + 1)}
    for size in sorted({1, largest} if extremes else sizes):
        batch = [_blank_inputs(bundle) for _ in range(size)]
        if extremes:
            batch = [_resized(inputs, bundle.spec, longest=size > 1) for inputs in batch]
        try:
            session.run(batch, Wanted(attention=True))
        except Exception as error:  # whatever the runtime raises, where that many do not fit its memory
            if size == 1:
                raise
            logger.warning("Batches of %d do not run, larger ones neither: %s", size, error)
            return


def _blank_inputs(bundle: Bundle) -> ModelInputs:
    """One example of all media that the model reads."""
    return ModelInputs(
        **{
            medium.name: medium.blank(own, bundle.assets.get(medium.name))
            for medium, own in present(bundle.spec)
        }
    )


def _resized(inputs: ModelInputs, spec: PreprocessSpec, *, longest: bool) -> ModelInputs:
    """With as much or as little of each medium as the graph can be given."""
    return ModelInputs(
        **{
            medium.name: medium.resized(item, spec.of(medium.name), longest=longest)
            for medium, item in present(inputs)
        }
    )
