"""Catalog: every served model and version, loaded and warmed up; a changed folder gives a new catalog."""

from __future__ import annotations

import functools
import json
import logging
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from triad_serving.contract.device import Precision
from triad_serving.contract.errors import BundleError, ModelLostError, NotFoundError
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine.side_by_side import SideBySide
from triad_serving.inference.bundle import MODEL_FILE, Bundle, find_bundles, read_bundle
from triad_serving.inference.graph_file import check_graphs
from triad_serving.inference.session import Session
from triad_serving.inference.signature import check_signature
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.registry import present
from triad_serving.settings import Settings

logger = logging.getLogger(__name__)

TRIALS = 5  # of each of two graphs, to take the faster
FASTER = "TRIAD_FASTER_GRAPHS"  # what a supervisor tells its workers, so that all run the same graphs


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """One served version: its bundle and its loaded graph."""

    bundle: Bundle
    session: Session
    precision: Precision

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def version(self) -> str:
        return self.bundle.manifest.version

    @functools.cached_property
    def side_by_side(self) -> SideBySide:
        return SideBySide(self.bundle, self.session)

    def run(self, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        """The session's answers. What it raises is the batch's fault where it still answers a blank example.

        Raises ModelLostError where it does not: it did when it was loaded. So it is with a lost GPU, which no
        process gets back that has used it.
        """
        try:
            return self.session.run(batch, wanted)
        except Exception:  # whatever the runtime raises
            try:
                self.session.run([_blank_inputs(self.bundle)], Wanted())
            except Exception as error:
                raise ModelLostError(
                    f"{self.name} {self.version} answers no more; try again soon."
                ) from error
            raise


class Catalog:
    """Models by name and version; never changed once made."""

    def __init__(self, models: Iterable[Model], defaults: Mapping[str, str] | None = None) -> None:
        """defaults: name -> the version that answers where none is asked for; else the highest.

        Raises BundleError where two are the same version of the same model, a default one is not there, or
        there is no model.
        """
        self._models: dict[str, dict[str, Model]] = {}
        for model in sorted(models, key=lambda model: (model.name, int(model.version))):
            versions = self._models.setdefault(model.name, {})
            if model.version in versions:
                both = f"{versions[model.version].bundle.path} and {model.bundle.path}"
                raise BundleError(f"Two bundles are {model.name} version {model.version}: {both}.")
            versions[model.version] = model
        if not self._models:
            raise BundleError("There is no model to serve.")
        self.defaults = dict(defaults or {})
        for name, version in self.defaults.items():
            if version not in self._models.get(name, {}):
                raise BundleError(f"There is no {name} version {version}, which is to answer by default.")

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
        """By default the first model by name, and its default version. Raises NotFoundError."""
        if name is None:
            name = self.names[0]
        if name not in self._models:
            known = ", ".join(self.names)
            raise NotFoundError(
                f"There is no model {name[:80]!r}; served: {known}.", field="model", value=name
            )
        versions = self._models[name]
        if version is None:
            return versions[self.defaults.get(name) or list(versions)[-1]]
        if version not in versions:
            known = ", ".join(versions)
            detail = f"Model {name} has no version {version[:80]!r}; served: {known}."
            raise NotFoundError(detail, field="version", value=version)
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """Of a model, lowest first; none of one that is not served."""
        return list(self._models.get(name, {}))


def load_catalog(path: Path, settings: Settings) -> Catalog:
    """Every bundle under a path. Raises BundleError, DeviceError."""
    models = [_load(read_bundle(folder), settings) for folder in find_bundles(path)]
    return Catalog(models, settings.default_versions)


def choose_graphs(path: Path, settings: Settings) -> None:
    """Tells processes that this one starts which graph of each bundle is the faster, where that shall decide.

    Raises BundleError.
    """
    bundles = map(read_bundle, find_bundles(path)) if settings.precision == "auto" else ()
    two = [bundle for bundle in bundles if bundle.int8_path is not None]
    os.environ.pop(FASTER, None)
    chosen = {}
    for bundle in two:
        _check(bundle, settings)
        chosen[bundle.manifest.files[MODEL_FILE]] = _open(bundle, settings)[1]
    os.environ[FASTER] = json.dumps(chosen)


def reload_catalog(before: Catalog, path: Path, settings: Settings) -> Catalog:
    """What is under the path now; every bundle is verified again, and those that are new are loaded.

    Raises BundleError, DeviceError.
    """
    models = _reload(before, find_bundles(path), settings)
    left = {name: version for name, version in before.defaults.items() if name in {m.name for m in models}}
    return Catalog(models, left)


def reload_model(
    before: Catalog, path: Path, settings: Settings, name: str, default: str | None = None
) -> Catalog:
    """The same for the versions of one model; the others stay as they are.

    default: the version that answers where none is asked for, from now on; else the highest. For one that is
    loaded the folder is not looked at.
    Raises BundleError, DeviceError, NotFoundError.
    """
    defaults = {other: version for other, version in before.defaults.items() if other != name}
    if default and default in before.versions(name):
        return Catalog(before.models, defaults | {name: default})
    homes = {model.bundle.path.parent for model in before.models if model.name == name}
    found = [each for each in find_bundles(path) if each.parent in homes or each.parent.name == name]
    if not found:
        before.find(name)
        raise BundleError(f"No version of {name} is there any more.")
    others = [model for model in before.models if model.name != name]
    after = Catalog([*others, *_reload(before, found, settings)], defaults)
    after.find(name, default)
    return Catalog(after.models, defaults | ({name: default} if default else {}))


def _reload(before: Catalog, folders: Sequence[Path], settings: Settings) -> list[Model]:
    loaded = {model.bundle.path: model for model in before.models}
    models = []
    for bundle in map(read_bundle, folders):
        model = loaded.get(bundle.path)
        if model is None or model.bundle.manifest != bundle.manifest:
            model = _load(bundle, settings)
        models.append(model)
    return models


def _check(bundle: Bundle, settings: Settings) -> None:
    """Before its graph is loaded. Raises BundleError."""
    if settings.bundle_public_key is not None:
        check_signature(bundle, settings.bundle_public_key)
    check_graphs(bundle)


def _load(bundle: Bundle, settings: Settings) -> Model:
    _check(bundle, settings)
    session, precision = _open(bundle, settings)
    session.take_apart()
    on_gpu = session.device == "cuda"
    warm_up(
        session,
        bundle,
        largest=settings.max_batch if on_gpu else 1,
        extremes=on_gpu and settings.gpu_mode == "tensorrt",
    )
    return Model(bundle=bundle, session=session, precision=precision)


def _open(bundle: Bundle, settings: Settings) -> tuple[Session, Precision]:
    """The graph to serve: where two may be, as this process's supervisor chose, where it has one that did.

    Raises BundleError, DeviceError.
    """
    chosen = json.loads(os.environ.get(FASTER, "{}")) if settings.precision == "auto" else {}
    told = chosen.get(bundle.manifest.files[MODEL_FILE])
    if told == "int8" and bundle.int8_path is not None:
        return _session(bundle, settings, bundle.int8_path), "int8"
    session = _session(bundle, settings, bundle.model_path)
    if told or session.device != "cpu" or settings.precision == "single":
        return session, bundle.precision
    if bundle.int8_path is None:
        if settings.precision == "int8" and bundle.precision != "int8":
            raise BundleError(f"Bundle {bundle.path} has no graph with 8-bit weights.")
        return session, bundle.precision
    narrow = _session(bundle, settings, bundle.int8_path)
    if settings.precision == "auto" and not _is_faster(narrow, session, bundle):
        return session, bundle.precision
    return narrow, "int8"


def _session(bundle: Bundle, settings: Settings, graph: Path) -> Session:
    return Session(
        graph,
        spec=bundle.spec,
        tasks=bundle.tasks,
        device=settings.device,
        gpu_mode=settings.gpu_mode,
        gpu_memory_mib=settings.gpu_memory_mib,
    )


def _is_faster(session: Session, other: Session, bundle: Bundle) -> bool:
    """On the longest example, alone in its batch: where 8 bits are slower it is by a CPU without instructions
    for them. Medians of TRIALS runs each, in turn, after one that warms up.

    Raises BundleError where one of them does not run.
    """
    longest = [_resized(_blank_inputs(bundle), bundle.spec, longest=True)]
    times_s: tuple[list[float], list[float]] = ([], [])
    try:
        for _ in range(1 + TRIALS):
            for each, own_s in zip((session, other), times_s, strict=True):
                started_s = time.perf_counter()
                each.run(longest, Wanted(attention=True))
                own_s.append(time.perf_counter() - started_s)
    except Exception as error:  # whatever the runtime raises
        raise BundleError(f"Bundle {bundle.path}: the graph does not run: {error}") from error
    fast, slow = (statistics.median(own_s[1:]) for own_s in times_s)
    return fast < slow


def warm_up(session: Session, bundle: Bundle, *, largest: int, extremes: bool = False) -> None:
    """Runs blank examples in batches of 1, 2, 4 and so on up to `largest`.

    The first run is the slowest everywhere. CUDA chooses kernels and takes memory anew for each shape.
    extremes: only the smallest batch of the shortest media and the largest of the longest. TensorRT compiles
    anew for a shape outside of those that it has seen.
    Raises BundleError where not even one blank example runs.
    """
    sizes = {min(2**power, largest) for power in range(largest.bit_length() + 1)}
    for size in sorted({1, largest} if extremes else sizes):
        batch = [_blank_inputs(bundle) for _ in range(size)]
        if extremes:
            batch = [_resized(inputs, bundle.spec, longest=size > 1) for inputs in batch]
        try:
            session.run(batch, Wanted(attention=True))
            if size == 1 and session.encodes:
                session.run([session.encoded(batch[0])], Wanted(attention=True))
        except Exception as error:  # whatever the runtime raises, where that many do not fit its memory
            if size == 1:
                raise BundleError(f"Bundle {bundle.path}: the graph does not run: {error}") from error
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
