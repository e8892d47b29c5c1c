"""Engine: raw media to a Prediction, in process; no HTTP in it.

A request's life is four steps: start (admitted or refused at once), prepare (decoded and preprocessed on the
pool), run (in a batch), finish (postprocessed for the caller).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.batcher import Answer, Batcher, Ran, fail
from service.bundle import Bundle, find_bundles, read_bundle
from service.contract import (
    UNKNOWN_ID,
    AudioInput,
    ImageInput,
    MediaLimits,
    ModelInputs,
    RawInputs,
    TextInput,
    Wanted,
    require_media,
)
from service.errors import (
    BundleError,
    InferenceError,
    NotFoundError,
    NothingToPredictError,
    TriadError,
    UnavailableError,
)
from service.postprocess import describe_inputs, predict_tasks, warnings_about
from service.preprocess.audio import decode_audio, fit_audio
from service.preprocess.image import decode_image, fit_image
from service.preprocess.text import encode_words, segment_text, segmenter
from service.schemas import Options, Prediction
from service.session import Session
from service.settings import Settings

logger = logging.getLogger(__name__)

DEFAULTS = Options()


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


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds that one request spent in each stage."""

    preprocess_s: float
    queue_s: float
    inference_s: float
    postprocess_s: float


@dataclass(kw_only=True, eq=False)
class Pending:
    """An admitted request; cancel `answer` to drop it. raw goes as soon as nobody needs its bytes."""

    id: str
    model: Model
    options: Options
    answer: Answer
    raw: RawInputs | None
    text: str | None
    inputs: ModelInputs = dataclasses.field(default_factory=ModelInputs)
    preprocess_s: float = 0.0


class Engine:
    """Serves every bundle under a path.

    `Engine.open(path)` is used as `async with` or as `with`: entering loads the models, leaving answers what
    was accepted and ends the threads.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.settings = settings
        self._path = path
        self._limits = settings.media_limits
        self._models: dict[str, dict[str, Model]] = {}
        self._batcher: Batcher | None = None
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="triad-prepare")

    @classmethod
    def open(cls, path: Path | str, settings: Settings | None = None) -> Engine:
        """path: a bundle, a folder of its versions, or a folder of models. Loads nothing yet."""
        return cls(Path(path), settings or Settings(models=Path(path)))

    def __enter__(self) -> Engine:
        """Raises BundleError, DeviceError."""
        started_s = time.perf_counter()
        for bundle in map(read_bundle, find_bundles(self._path)):
            self._add(Model(bundle=bundle, session=self._load(bundle)))
        for name, versions in self._models.items():
            self._models[name] = dict(sorted(versions.items(), key=lambda item: int(item[0])))
        on_gpu = any(model.session.device == "cuda" for model in self.models())
        self._batcher = Batcher(
            workers=1 if on_gpu else self.settings.threads,
            max_batch=self.settings.max_batch,
            max_queue=self.settings.max_queue,
            max_queue_s=self.settings.max_queue_s,
        )
        logger.info("Loaded %s in %.1f s.", ", ".join(self._models), time.perf_counter() - started_s)
        return self

    def __exit__(self, *_: object) -> None:
        if self._batcher is not None:
            self._batcher.close()
        self._pool.shutdown()

    async def __aenter__(self) -> Engine:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)

    @property
    def opened(self) -> bool:
        return self._batcher is not None

    @property
    def ready(self) -> bool:
        """Whether models are loaded and the batcher runs."""
        return self._batcher is not None and self._batcher.ready

    def models(self) -> list[Model]:
        """Every served version, by name, then by rising version."""
        return [model for name in sorted(self._models) for model in self._models[name].values()]

    def find_model(self, name: str | None = None, version: str | None = None) -> Model:
        """The model asked for; by default the first by name, and the highest version.

        Raises NotFoundError, UnavailableError before the engine is open.
        """
        if not self._models:
            raise UnavailableError("No model is loaded yet.")
        name = name if name is not None else min(self._models)
        if name not in self._models:
            known = ", ".join(sorted(self._models))
            raise NotFoundError(f"There is no model {name!r}; served: {known}.", field="model", value=name)
        versions = self._models[name]
        if version is None:
            return list(versions.values())[-1]
        if version not in versions:
            detail = f"Model {name} has no version {version!r}; served: {', '.join(versions)}."
            raise NotFoundError(detail, field="version", value=version)
        return versions[version]

    async def predict(
        self, raw: RawInputs, options: Options = DEFAULTS, *, request_id: str | None = None
    ) -> Prediction:
        """Raises RequestError, OverloadedError, UnavailableError, InferenceError."""
        pending = self.start(raw, options, request_id=request_id)
        ran = await asyncio.wrap_future(pending.answer)
        return self.finish(pending, ran)[0]

    def predict_sync(
        self, raw: RawInputs, options: Options = DEFAULTS, *, request_id: str | None = None
    ) -> Prediction:
        """The same for callers without an event loop; any number of threads may call it."""
        pending = self.start(raw, options, request_id=request_id)
        return self.finish(pending, pending.answer.result())[0]

    def check_capacity(self) -> None:
        """Raises OverloadedError or UnavailableError where a request started now would be refused."""
        self._running_batcher().check()

    def start(self, raw: RawInputs, options: Options, *, request_id: str | None) -> Pending:
        """Admits a request; its answer arrives in `.answer`. Raises what refuses it at once."""
        model = self.find_model(options.model, options.version)
        if raw.text is None and raw.image is None and raw.audio is None:
            known = ", ".join(model.bundle.spec.media)
            raise NothingToPredictError(f"Nothing to predict from: send at least one of {known}.")
        require_media(raw, model.bundle.spec)
        answer = self._running_batcher().accept()
        pending = Pending(
            id=request_id or new_request_id(),
            model=model,
            options=options,
            answer=answer,
            raw=raw,
            text=raw.text,
        )
        answer.add_done_callback(lambda _: _drop_raw(pending))
        self._pool.submit(self._prepare, pending)
        return pending

    def finish(self, pending: Pending, ran: Ran) -> tuple[Prediction, Timings]:
        """Raises InferenceError where the model's answer is no number."""
        started_s = time.perf_counter()
        manifest = pending.model.bundle.manifest
        prediction = Prediction(
            id=pending.id,
            model=manifest.name,
            version=manifest.version,
            inputs=describe_inputs(pending.inputs),
            predictions=predict_tasks(ran.outputs, pending.inputs, pending.text, manifest, pending.options),
            warnings=warnings_about(pending.inputs, manifest.preprocess),
        )
        timings = Timings(
            preprocess_s=pending.preprocess_s,
            queue_s=ran.queue_s,
            inference_s=ran.inference_s,
            postprocess_s=time.perf_counter() - started_s,
        )
        return prediction, timings

    def _prepare(self, pending: Pending) -> None:
        """Runs on the pool: everything that one example's bytes can break happens here, before the queue."""
        started_s = time.perf_counter()
        raw = pending.raw
        if raw is None or pending.answer.done():
            return
        try:
            pending.inputs = preprocess(raw, pending.model.bundle, self._limits)
        except Exception as error:  # a defect of ours must reach whoever waits, not vanish in the pool
            if not isinstance(error, TriadError):
                logger.exception("Preprocessing failed unexpectedly.")
            known = error if isinstance(error, TriadError) else InferenceError("Preprocessing failed.")
            fail(pending.answer, known)
            return
        pending.preprocess_s = time.perf_counter() - started_s
        wanted = Wanted(attention=pending.options.attention != "none")
        self._running_batcher().enqueue(pending.answer, pending.model.session.run, pending.inputs, wanted)

    def _running_batcher(self) -> Batcher:
        if self._batcher is None:
            raise UnavailableError("The engine is not open.")
        return self._batcher

    def _load(self, bundle: Bundle) -> Session:
        if bundle.spec.text is not None:
            segmenter()
        device = self.settings.device
        session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device=device)
        session.run([_blank_inputs(bundle)], Wanted(attention=True))  # the first run is the slowest
        return session

    def _add(self, model: Model) -> None:
        versions = self._models.setdefault(model.name, {})
        if model.version in versions:
            both = f"{versions[model.version].bundle.path} and {model.bundle.path}"
            raise BundleError(f"Two bundles are {model.name} version {model.version}: {both}.")
        versions[model.version] = model


def new_request_id() -> str:
    return f"req-{uuid.uuid4().hex[:16]}"


def preprocess(raw: RawInputs, bundle: Bundle, limits: MediaLimits) -> ModelInputs:
    """Raises RequestError; require_media has passed."""
    spec = bundle.spec
    text = image = audio = None
    if raw.text is not None and spec.text and bundle.vocabulary:
        words = segment_text(raw.text, limits)
        text = encode_words(words, bundle.vocabulary, spec.text, characters=len(raw.text))
    if raw.image is not None and spec.image:
        image = fit_image(decode_image(raw.image, spec.image, limits), spec.image)
    if raw.audio is not None and spec.audio:
        audio = fit_audio(decode_audio(raw.audio, spec.audio, limits), spec.audio)
    return ModelInputs(text=text, image=image, audio=audio)


def _blank_inputs(bundle: Bundle) -> ModelInputs:
    """One example of all media that the model reads, to warm it up."""
    spec = bundle.spec
    text = image = audio = None
    if spec.text:
        ids_L = np.full(1, UNKNOWN_ID, dtype=np.int64)
        text = TextInput(ids_L=ids_L, spans=((0, 1),), characters=1, truncated=False)
    if spec.image:
        size = (spec.image.height, spec.image.width)
        pixels_HW3 = np.zeros((*size, 3), dtype=np.uint8)
        image = ImageInput(pixels_HW3=pixels_HW3, format="", width=1, height=1, region=(0, 0, 1, 1))
    if spec.audio:
        rate_hz = spec.audio.sample_rate_hz
        samples_T = np.zeros(max(rate_hz, spec.audio.window), dtype=np.int16)
        audio = AudioInput(
            samples_T=samples_T, format="", seconds=1.0, sample_rate_hz=rate_hz, truncated=False, peak=0.0
        )
    return ModelInputs(text=text, image=image, audio=audio)


def _drop_raw(pending: Pending) -> None:
    """A cancelled request must not hold its bytes until the pool comes to it."""
    pending.raw = None
