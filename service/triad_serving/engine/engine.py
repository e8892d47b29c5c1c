"""Engine: raw media to a Prediction, in process; no HTTP in it.

A request's life is four steps: start (admitted or refused at once), prepare (decoded and preprocessed by a
worker), run (in a batch), finish (postprocessed for the caller).
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from triad_serving.contract.errors import (
    InferenceError,
    NothingToPredictError,
    OverloadedError,
    TriadError,
    UnavailableError,
)
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine.admission import Admission
from triad_serving.engine.batcher import Answer, Batcher, BatchResult, Run, fail
from triad_serving.engine.catalog import Catalog, Model, load_catalog, reload_catalog, reload_model
from triad_serving.engine.occupancy import Occupancy
from triad_serving.explanation.explain import Plan, check_target, explain, join_variants, plan
from triad_serving.inference.answer import Prediction
from triad_serving.inference.embedding import Embedding, EmbedOptions, require_finite
from triad_serving.inference.options import Options
from triad_serving.inference.postprocess import (
    describe_fusion,
    describe_inputs,
    predict_tasks,
    warnings_about,
)
from triad_serving.media.example import ModelInputs, RawInputs, require_media
from triad_serving.media.preprocess import preprocess, preprocess_whole
from triad_serving.media.windows import Window
from triad_serving.settings import Settings, usable_cores

logger = logging.getLogger(__name__)

DEFAULTS = Options()
EMBED_DEFAULTS = EmbedOptions()

T = TypeVar("T")
Reload: TypeAlias = Callable[[str, str | None], None]  # name, version


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds that one request spent in each stage."""

    preprocess_s: float
    queue_s: float
    inference_s: float
    postprocess_s: float


@dataclass(kw_only=True, eq=False)
class Pending:
    """An admitted request; cancel `answer` to drop it. raw goes as soon as nobody needs its bytes.

    embed: for `finish_embedding`, not `finish`.
    """

    id: str
    model: Model
    options: Options
    embed: bool = False
    answer: Answer
    raw: RawInputs | None
    inputs: ModelInputs = dataclasses.field(default_factory=ModelInputs)
    planned: Plan | None = None
    preprocess_s: float = 0.0


@dataclass(frozen=True)
class _Observed:
    """A graph's run that tells how many rows it has."""

    run: Run
    on_run: Callable[[int], object]

    def __call__(self, batch: Sequence[ModelInputs], wanted: Wanted) -> Sequence[ModelOutputs]:
        self.on_run(len(batch))
        return self.run(batch, wanted)


class Engine:
    """Serves every bundle under a path.

    `Engine.open(path)` is used as `async with` or as `with`: entering loads the models, leaving answers what
    was accepted and ends the threads.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.settings = settings
        self._path = path
        self._limits = settings.media_limits
        self._catalog: Catalog | None = None
        self._loading = threading.Lock()
        self._batcher: Batcher | None = None
        self._aside: Executor | None = None  # for half of a request that has the machine alone
        self.occupancy = Occupancy()
        self.draining = False
        self.supervisor: Reload | None = None  # where this process is one of several: they change together
        self.admission: Admission | None = None  # asked by a server before it reads a body; while open
        self.on_refused: Callable[[], object] = _ignore  # called where there was no place for a request
        self.on_run: Callable[[int], object] = _ignore  # called by workers, with the rows of each run

    @classmethod
    def open(cls, path: Path | str, settings: Settings | None = None) -> Engine:
        """path: a bundle, a folder of its versions, or a folder of models. Loads nothing yet."""
        return cls(Path(path), settings or Settings(models=Path(path)))

    def load(self, name: str | None = None, version: str | None = None) -> None:
        """The models; what has changed where they are loaded already, from the next request on.

        name: of this model only. version: of it, which answers by default from now on, else the highest; this
        is how to go back to an older one.
        Raises BundleError, DeviceError, NotFoundError; then nothing has changed. By name, UnavailableError
        before the engine is open.
        """
        started_s = time.perf_counter()
        with self._loading:
            if name is not None:
                self._catalog = reload_model(self.catalog, self._path, self.settings, name, version)
            elif self._catalog is not None:
                self._catalog = reload_catalog(self._catalog, self._path, self.settings)
            else:
                self._catalog = load_catalog(self._path, self.settings)
        names = ", ".join(f"{name} {self._catalog.find(name).version}" for name in self._catalog.names)
        logger.info("Loaded in %.1f s; serving %s.", time.perf_counter() - started_s, names)

    def reload(self, name: str, version: str | None = None) -> bool:
        """As `load`, in every process of the service. False where the others and this one are yet to change.

        Raises what `load` raises, UnavailableError.
        """
        if self.supervisor is None:
            self.load(name, version)
            return True
        self.supervisor(name, version)
        return False

    def __enter__(self) -> Engine:
        """Raises BundleError, DeviceError."""
        if self._catalog is None:
            self.load()
        self._batcher = Batcher(
            workers=self.settings.threads + self.catalog.on_gpu,  # one of them mostly waits for the GPU
            runners=1 if self.catalog.on_gpu else self.settings.threads,
            max_batch=self.settings.max_batch,
            max_queue=self.settings.max_queue,
            max_queue_s=self.settings.max_queue_s,
            occupancy=self.occupancy,
        )
        batcher = self._batcher
        if usable_cores() > 1:
            self._aside = ThreadPoolExecutor(1, thread_name_prefix="triad-aside")
        self.admission = Admission(lambda: batcher.capacity, fair=self.settings.fair != "off")
        return self

    def __exit__(self, *_: object) -> None:
        if self._batcher is not None:
            self._batcher.close()
        if self._aside is not None:
            self._aside.shutdown()

    async def __aenter__(self) -> Engine:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)

    @property
    def opened(self) -> bool:
        return self._batcher is not None

    @property
    def loaded(self) -> bool:
        return self._catalog is not None

    @property
    def depth(self) -> int:
        """Examples accepted and not yet answered."""
        return self._batcher.depth if self._batcher is not None else 0

    @property
    def ready(self) -> bool:
        """Whether models are loaded, the batcher runs, and the service is not about to stop."""
        return self._batcher is not None and self._batcher.ready and not self.draining

    @property
    def dead(self) -> bool:
        """Whether nothing will be answered any more: only a new process can."""
        return self._batcher is not None and self._batcher.dead

    def drain(self) -> None:
        """Turns `ready` false for load balancers; requests are answered until the engine is closed."""
        self.draining = True

    @property
    def catalog(self) -> Catalog:
        """Raises UnavailableError before the engine is open."""
        if self._catalog is None:
            raise UnavailableError("The engine is not open.")
        return self._catalog

    async def predict(
        self, raw: RawInputs, options: Options = DEFAULTS, *, request_id: str | None = None
    ) -> Prediction:
        """Raises RequestError, OverloadedError, UnavailableError, InferenceError."""
        pending = self.start(raw, options, request_id=request_id)
        try:
            result = await asyncio.wrap_future(pending.answer)
            if pending.model.bundle.searches:
                finished = self.offload(functools.partial(self.finish, pending, result))
                return (await asyncio.wrap_future(finished))[0]
            return self.finish(pending, result)[0]
        finally:
            del pending, raw  # of which an error's traceback would keep hold

    def predict_sync(
        self, raw: RawInputs, options: Options = DEFAULTS, *, request_id: str | None = None
    ) -> Prediction:
        """The same for callers without an event loop; any number of threads may call it."""
        pending = self.start(raw, options, request_id=request_id)
        try:
            return self.finish(pending, pending.answer.result())[0]
        finally:
            del pending, raw  # of which an error's traceback would keep hold

    async def embed(
        self, raw: RawInputs, options: EmbedOptions = EMBED_DEFAULTS, *, request_id: str | None = None
    ) -> Embedding:
        """L2-normalised vectors of each medium, and of all together. Raises what `predict` raises."""
        pending = self.start_embedding(raw, options, request_id=request_id)
        try:
            return self.finish_embedding(pending, await asyncio.wrap_future(pending.answer))[0]
        finally:
            del pending, raw  # of which an error's traceback would keep hold

    def embed_sync(
        self, raw: RawInputs, options: EmbedOptions = EMBED_DEFAULTS, *, request_id: str | None = None
    ) -> Embedding:
        """The same for callers without an event loop; any number of threads may call it."""
        pending = self.start_embedding(raw, options, request_id=request_id)
        try:
            return self.finish_embedding(pending, pending.answer.result())[0]
        finally:
            del pending, raw  # of which an error's traceback would keep hold

    async def wait_for_place(self) -> None:
        """Returns when a request started now may be admitted."""
        loop = asyncio.get_running_loop()
        free = asyncio.Event()
        self._running_batcher().when_free(lambda: loop.call_soon_threadsafe(free.set))
        await free.wait()

    def check_capacity(self) -> None:
        """Raises OverloadedError or UnavailableError where a request started now would be refused."""
        self._running_batcher().check()

    def start_embedding(self, raw: RawInputs, options: EmbedOptions, *, request_id: str | None) -> Pending:
        """As `start`, for `finish_embedding`."""
        asked = Options(model=options.model, version=options.version, attention="none")
        return self.start(raw, asked, request_id=request_id, embed=True)

    def start(
        self, raw: RawInputs, options: Options, *, request_id: str | None, embed: bool = False
    ) -> Pending:
        """Admits a request; its answer arrives in `.answer`. Raises what refuses it at once."""
        model = self.catalog.find(options.model, options.version)
        if not raw.media:
            known = ", ".join(model.bundle.spec.media)
            raise NothingToPredictError(f"Nothing to predict from: send at least one of {known}.")
        require_media(raw, model.bundle.spec)
        check_target(options.target, model.bundle.tasks)
        answer = self._running_batcher().accept()
        pending = Pending(
            id=request_id or new_request_id(),
            model=model,
            options=options,
            embed=embed,
            answer=answer,
            raw=raw,
        )
        # Weakly: two that hold each other, and all that was decoded, are freed only by the garbage collector.
        answer.add_done_callback(functools.partial(_drop_raw, weakref.ref(pending)))
        self._running_batcher().prepare(functools.partial(self._prepare, pending))
        return pending

    def finish(self, pending: Pending, result: BatchResult) -> tuple[Prediction, Timings]:
        """Raises UnanswerableError where the model's answer is not finite."""
        started_s = time.perf_counter()
        bundle, options, variants = pending.model.bundle, pending.options, result.rows
        manifest, decoders = bundle.manifest, bundle.decoders
        assert pending.planned is not None
        if pending.planned.windows:
            variants = join_variants(pending.planned, result.rows, list(decoders))
        outputs = variants[0]
        predictions = predict_tasks(outputs, pending.inputs, manifest, options, decoders)
        if options.explain != "none":
            predictions = explain(
                predictions,
                pending.planned,
                variants,
                manifest=manifest,
                target=options.target,
                decoders=decoders,
            )
        full = options.attention == "full"
        prediction = Prediction(
            id=pending.id,
            model=manifest.name,
            version=manifest.version,
            precision=pending.model.precision,
            inputs=describe_inputs(pending.inputs, manifest.preprocess),
            predictions=predictions,
            fusion=describe_fusion(outputs.fusion_HMM, pending.inputs, manifest.preprocess) if full else None,
            warnings=warnings_about(pending.inputs, manifest.preprocess, decoders),
        )
        return prediction, _timings(pending, result, started_s)

    def finish_embedding(self, pending: Pending, result: BatchResult) -> tuple[Embedding, Timings]:
        """Raises UnanswerableError where a vector is not finite."""
        started_s = time.perf_counter()
        manifest = pending.model.bundle.manifest
        embedding = Embedding(
            id=pending.id,
            model=manifest.name,
            version=manifest.version,
            precision=pending.model.precision,
            inputs=describe_inputs(pending.inputs, manifest.preprocess),
            vectors_D=require_finite(result.rows[0].embeddings_D),
            warnings=warnings_about(pending.inputs, manifest.preprocess),
        )
        return embedding, _timings(pending, result, started_s)

    def offload(self, work: Callable[[], T]) -> Future[T]:
        """Does other work for a request in a worker: no more are busy at once than were asked for."""
        return self._running_batcher().call(work)

    def _prepare(self, pending: Pending) -> None:
        """Runs in a worker: everything that one example's bytes can break happens here, before the queue."""
        started_s = time.perf_counter()
        raw = pending.raw
        if raw is None or pending.answer.done():
            return
        bundle, options, most_parts = pending.model.bundle, pending.options, self.settings.max_occlusions
        try:
            windows: Sequence[Window] = ()
            if bundle.decoders:
                pending.inputs, windows = preprocess_whole(raw, bundle.spec, bundle.assets, self._limits)
            elif self._aside is not None and len(raw.media) > 1 and self.occupancy.total == 1:
                encode = options.explain == "none"
                read = pending.model.side_by_side.prepare
                pending.inputs = read(raw, self._limits, self._aside, encode=encode)
            else:
                pending.inputs = preprocess(raw, bundle.spec, bundle.assets, self._limits)
            planned = plan(pending.inputs, options, bundle.spec, most_parts=most_parts, windows=windows)
        except MemoryError as error:
            short = OverloadedError("There is not enough memory for this example now; try a smaller one.")
            short.__cause__ = error
            fail(pending.answer, short)
            return
        except Exception as error:  # a defect of ours must reach whoever waits, not end the worker
            if not isinstance(error, TriadError):
                logger.exception("Preprocessing failed unexpectedly.")
            known = error if isinstance(error, TriadError) else InferenceError("Preprocessing failed.")
            fail(pending.answer, known)
            return
        pending.raw, pending.planned = None, planned
        pending.preprocess_s = time.perf_counter() - started_s
        wanted = Wanted(
            attention=options.attention != "none" or planned.parts is not None,
            fusion=options.attention == "full",
            embeddings=pending.embed,
        )
        run = _Observed(pending.model.run, self.on_run)
        self._running_batcher().enqueue(pending.answer, run, planned.rows, wanted)

    def _running_batcher(self) -> Batcher:
        if self._batcher is None:
            raise UnavailableError("The engine is not open.")
        return self._batcher


def _ignore(*_: object) -> None:
    """Where nobody observes."""


def _timings(pending: Pending, result: BatchResult, started_s: float) -> Timings:
    """started_s: when its postprocessing began, which ends now."""
    return Timings(
        preprocess_s=pending.preprocess_s,
        queue_s=result.queue_s,
        inference_s=result.inference_s,
        postprocess_s=time.perf_counter() - started_s,
    )


def new_request_id() -> str:
    return f"req-{secrets.token_hex(8)}"


def _drop_raw(reference: weakref.ref[Pending], _: Answer) -> None:
    """A cancelled request must not hold its bytes until a worker comes to it."""
    if pending := reference():
        pending.raw = None
