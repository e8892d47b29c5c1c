"""Catalog: every served model and version, loaded and warmed up, and what the service says about them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from triad_serving.contract.errors import BundleError, NotFoundError
from triad_serving.contract.outputs import Wanted
from triad_serving.inference.bundle import Bundle, find_bundles, read_bundle
from triad_serving.inference.schemas import (
    AudioFormat,
    ImageFormat,
    ModelInputFormats,
    ModelList,
    ModelReport,
    ModelVersion,
    TaskReport,
    TextFormat,
)
from triad_serving.inference.session import Session
from triad_serving.media.audio.decode import FORMATS as AUDIO_FORMATS
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.decode import FORMATS as IMAGE_FORMATS
from triad_serving.media.image.spec import ImageInput
from triad_serving.media.limits import MediaLimits
from triad_serving.settings import Settings

logger = logging.getLogger(__name__)

WARM_UP_TEXT = "七 seven"


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
    def on_gpu(self) -> bool:
        versions = (model for versions in self._models.values() for model in versions.values())
        return any(model.session.device == "cuda" for model in versions)

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

    def describe_all(self) -> ModelList:
        return ModelList(default=self.names[0], models=[self.describe(name) for name in self.names])

    def describe(self, name: str) -> ModelReport:
        """Raises NotFoundError."""
        model = self.find(name)
        return ModelReport(
            name=model.name,
            description=model.bundle.manifest.description,
            default_version=model.version,
            versions=list(self._models[name]),
            media=list(model.bundle.spec.media),
            tasks=[task.name for task in model.bundle.tasks],
        )

    def describe_version(self, name: str, version: str) -> ModelVersion:
        """Raises NotFoundError."""
        model = self.find(name, version)
        manifest = model.bundle.manifest
        return ModelVersion(
            name=manifest.name,
            version=manifest.version,
            created=manifest.created,
            description=manifest.description,
            parameters=manifest.parameters,
            device=model.session.device,
            inputs=_input_formats(model.bundle),
            tasks=[
                TaskReport(name=task.name, type=task.type, labels=list(task.labels))
                for task in manifest.tasks
            ],
            metrics=manifest.metrics,
            data=manifest.provenance.data,
            licence=manifest.provenance.licence,
            intended_use=manifest.provenance.intended_use,
        )


def load_catalog(path: Path, settings: Settings) -> Catalog:
    """Every bundle under a path. Raises BundleError, DeviceError."""
    return Catalog(_load(read_bundle(folder), settings) for folder in find_bundles(path))


def _load(bundle: Bundle, settings: Settings) -> Model:
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


def _input_formats(bundle: Bundle) -> ModelInputFormats:
    spec = bundle.spec
    text = image = audio = None
    if spec.text and bundle.lexicon:
        text = TextFormat(max_tokens=spec.text.max_tokens, vocabulary=bundle.lexicon.size)
    if spec.image:
        image = ImageFormat(width=spec.image.width, height=spec.image.height, formats=list(IMAGE_FORMATS))
    if spec.audio:
        audio = AudioFormat(
            sample_rate=spec.audio.sample_rate_hz, max_seconds=spec.audio.max_s, formats=list(AUDIO_FORMATS)
        )
    return ModelInputFormats(text=text, image=image, audio=audio)


def _blank_inputs(bundle: Bundle) -> ModelInputs:
    """One example of all media that the model reads."""
    spec = bundle.spec
    text = image = audio = None
    if spec.text and bundle.lexicon:
        words = bundle.lexicon.words(WARM_UP_TEXT, spec.text, MediaLimits())  # loads its dictionaries
        text = bundle.lexicon.encode(words, spec.text, characters=len(WARM_UP_TEXT))
    if spec.image:
        pixels_HW3 = np.zeros((spec.image.height, spec.image.width, 3), dtype=np.uint8)
        image = ImageInput(pixels_HW3=pixels_HW3, format="", width=1, height=1, region=(0, 0, 1, 1))
    if spec.audio:
        rate_hz = spec.audio.sample_rate_hz
        samples_T = np.zeros(max(rate_hz, spec.audio.window), dtype=np.int16)
        audio = AudioInput(
            samples_T=samples_T, format="", seconds=1.0, sample_rate_hz=rate_hz, truncated=False, peak=0.0
        )
    return ModelInputs(text=text, image=image, audio=audio)


def _resized(inputs: ModelInputs, spec: PreprocessSpec, *, longest: bool) -> ModelInputs:
    """With as much or as little of text and sound as the graph can be given."""
    text, audio = inputs.text, inputs.audio
    if text and spec.text:
        size = spec.text.max_tokens if longest else 1
        tags = None if text.pos_L is None else np.resize(text.pos_L, size)
        text = replace(text, ids_L=np.resize(text.ids_L, size), pos_L=tags)
    if audio and spec.audio:
        samples_T = np.zeros(spec.audio.max_samples if longest else spec.audio.window, dtype=np.int16)
        audio = replace(audio, samples_T=samples_T)
    return replace(inputs, text=text, audio=audio)
