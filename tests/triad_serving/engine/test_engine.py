"""The engine in process: hand-computed answers, bounds, neighbours, lifetime."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tests.conftest import png_bytes, wav_bytes, write_tiny_bundle
from triad_serving.contract.errors import (
    BundleError,
    DecodeError,
    InferenceError,
    NotFoundError,
    NothingToPredictError,
    OverloadedError,
    ParameterError,
    TooLargeError,
    UnavailableError,
    UnsupportedFormatError,
)
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine.catalog import Catalog, warm_up
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Classification, Prediction, Regression
from triad_serving.inference.bundle import read_bundle, write_bundle
from triad_serving.inference.options import Options
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.settings import Settings

LIMIT_S = 10.0
EVERYTHING = RawInputs(text="seven 七!", image=png_bytes(value=102), audio=wav_bytes(0.1, peak=0.5))


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine.open(tiny_bundle) as engine:
        yield engine


def size_of(prediction: Prediction) -> float:
    size = prediction.predictions["size"]
    assert isinstance(size, Regression)
    return size.value


@pytest.mark.parametrize(
    ("raw", "size", "label", "modalities"),
    [
        # ids 2 and 3, and "!" unknown = 1: t = 0.6
        (RawInputs(text="seven 七!"), 0.6, "word", {"text": 1.0, "image": 0.0, "audio": 0.0}),
        (RawInputs(image=EVERYTHING.image), 1.6, "picture", {"text": 0.0, "image": 1.0, "audio": 0.0}),
        (RawInputs(audio=EVERYTHING.audio), 2.0, "sound", {"text": 0.0, "image": 0.0, "audio": 1.0}),
        # weights 3 x 1, 4 x 1.4 and 2 x 1 of 10.6
        (EVERYTHING, 4.2, "sound", {"text": 0.283019, "image": 0.528302, "audio": 0.188679}),
    ],
)
def test_any_subset_of_the_media_is_answered_as_computed_by_hand(
    engine: Engine, raw: RawInputs, size: float, label: str, modalities: dict[str, float]
) -> None:
    prediction = engine.predict_sync(raw)
    kind = prediction.predictions["kind"]
    assert isinstance(kind, Classification)
    assert kind.attention
    assert size_of(prediction) == pytest.approx(size, abs=1e-5)
    assert kind.label == label
    assert kind.attention.modalities == pytest.approx(modalities, abs=2e-6)


def test_both_ways_in_give_the_same_json(engine: Engine) -> None:
    async def ask() -> Prediction:
        return await engine.predict(EVERYTHING, Options(attention="full"), request_id="mine")

    assert asyncio.run(ask()) == engine.predict_sync(EVERYTHING, Options(attention="full"), request_id="mine")


def test_an_engine_opens_for_async_with(tiny_bundle: Path) -> None:
    async def ask() -> float:
        async with Engine.open(str(tiny_bundle)) as engine:
            return size_of(await engine.predict(RawInputs(text="seven")))

    assert asyncio.run(ask()) == pytest.approx(0.2)


def test_absent_is_absent_in_the_json(engine: Engine) -> None:
    json = engine.predict_sync(RawInputs(text="seven"), Options(attention="none"), request_id="a").to_json()
    assert json == (
        '{"id":"a","model":"tiny","version":"1","precision":"single",'
        '"inputs":{"text":{"characters":5,"tokens":1,"truncated":false}},"predictions":{'
        '"kind":{"type":"classification","label":"word","probability":0.355913,"top":['
        '{"label":"word","probability":0.355913},{"label":"picture","probability":0.322043},'
        '{"label":"sound","probability":0.322043}]},'
        '"tags":{"type":"multilabel","labels":[],"top":['
        '{"label":"spoken","probability":0.310026},{"label":"seen","probability":0.268941}]},'
        '"size":{"type":"regression","value":0.2}},"warnings":[]}'
    )


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (RawInputs(), NothingToPredictError),
        (RawInputs(text="  \n"), DecodeError),
        (RawInputs(text="a" * 10_001), TooLargeError),
        (RawInputs(image=b"not an image"), UnsupportedFormatError),
        (RawInputs(image=png_bytes(64, 64)[:60]), DecodeError),
        (RawInputs(audio=b"not a sound"), UnsupportedFormatError),
        (RawInputs(audio=wav_bytes()[:2000]), DecodeError),
        (RawInputs(text="seven", image=b""), DecodeError),
    ],
)
def test_bad_media_are_refused_before_the_queue(
    engine: Engine, raw: RawInputs, error: type[Exception]
) -> None:
    with pytest.raises(error):
        engine.predict_sync(raw)


def test_an_unknown_model_or_version_is_named_with_what_is_served(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="no model 'cats'; served: tiny"):
        engine.predict_sync(EVERYTHING, Options(model="cats"))
    with pytest.raises(NotFoundError, match="no version '9'; served: 1"):
        engine.predict_sync(EVERYTHING, Options(version="9"))


def test_a_medium_that_the_model_does_not_read_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = engine.catalog.find().bundle
    deaf = bundle.manifest.preprocess.__class__(text=bundle.spec.text, image=bundle.spec.image, audio=None)
    monkeypatch.setattr(type(bundle), "spec", property(lambda _: deaf))
    with pytest.raises(ParameterError, match="does not read audio"):
        engine.predict_sync(EVERYTHING)


def test_versions_are_numbers_and_the_highest_answers(tmp_path: Path) -> None:
    for name, version in (("tiny", "9"), ("tiny", "10"), ("another", "1")):
        write_tiny_bundle(tmp_path, name=name, version=version)
    with Engine.open(tmp_path) as engine:
        assert engine.predict_sync(RawInputs(text="seven")).model == "another"
        chosen = engine.predict_sync(RawInputs(text="seven"), Options(model="tiny"))
        assert (chosen.model, chosen.version) == ("tiny", "10")
        older = engine.predict_sync(RawInputs(text="seven"), Options(model="tiny", version="9"))
        assert older.version == "9"


def test_one_version_twice_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "a", name="tiny").rename(tmp_path / "one")
    write_tiny_bundle(tmp_path / "b", name="tiny").rename(tmp_path / "two")
    with pytest.raises(BundleError, match="Two bundles are tiny version 1"), Engine.open(tmp_path):
        pass


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="does not exist"):
        Engine.open(tmp_path / "nothing")


def test_before_and_after_its_life_an_engine_refuses(tiny_bundle: Path) -> None:
    engine = Engine.open(tiny_bundle)
    assert not engine.ready
    with pytest.raises(UnavailableError):
        engine.predict_sync(EVERYTHING)
    with engine:
        assert engine.ready
        engine.drain()
        assert not engine.ready
        assert engine.predict_sync(EVERYTHING)
    with pytest.raises(UnavailableError):
        engine.predict_sync(EVERYTHING)


def test_an_answer_does_not_depend_on_its_neighbours(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixed presence and lengths, alone and in whatever batches 64 at once form."""
    mixture = [
        EVERYTHING,
        RawInputs(text="hello three"),
        RawInputs(image=png_bytes(9, 5, value=30)),
        RawInputs(audio=wav_bytes(0.3, peak=0.9)),
        RawInputs(text="七", audio=wav_bytes(0.05, peak=0.2)),
        RawInputs(text="three three seven hello seven", image=png_bytes(value=200)),
        RawInputs(image=png_bytes(value=7), audio=wav_bytes(1.7, peak=0.4)),
    ]
    batches: list[int] = []
    real_run = Session.run

    def counted(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        batches.append(len(batch))
        return real_run(self, batch, wanted)

    monkeypatch.setattr(Session, "run", counted)
    monkeypatch.setattr(Catalog, "on_gpu", property(lambda _: True))  # one runs, the others prepare
    options = Options(attention="full")
    with Engine.open(tiny_bundle, Settings(models=tiny_bundle, threads=1)) as engine:
        alone = [engine.predict_sync(raw, options, request_id="x") for raw in mixture]
        with ThreadPoolExecutor(64) as pool:
            among = list(
                pool.map(lambda raw: engine.predict_sync(raw, options, request_id="x"), mixture * 16)
            )
    assert max(batches) > 1
    for i, prediction in enumerate(among):
        assert numbers_of(prediction) == pytest.approx(numbers_of(alone[i % len(mixture)]), abs=1e-4)


def numbers_of(prediction: Prediction) -> list[float]:
    found: list[float] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                collect(value[key])
        elif isinstance(value, list | tuple):
            for each in value:
                collect(each)
        elif isinstance(value, float):
            found.append(value)

    collect({name: task.model_dump(exclude={"top"}) for name, task in prediction.predictions.items()})
    return found


def test_the_bound_counts_requests_from_preprocessing_on(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def stuck(*_: object) -> ModelInputs:
        entered.set()
        assert gate.wait(LIMIT_S)
        return ModelInputs()

    with Engine.open(tiny_bundle, Settings(models=tiny_bundle, max_queue=1)) as engine:
        monkeypatch.setattr("triad_serving.engine.engine.preprocess", stuck)
        pending = engine.start(RawInputs(text="seven"), Options(), request_id=None)
        assert entered.wait(LIMIT_S)
        with pytest.raises(OverloadedError):
            engine.check_capacity()
        with pytest.raises(OverloadedError):
            engine.predict_sync(RawInputs(text="seven"))
        gate.set()
        assert pending.answer.result(LIMIT_S)
        engine.check_capacity()


def test_a_request_that_was_dropped_is_not_preprocessed_and_lets_go_of_its_bytes(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()
    seen: list[str | None] = []

    def stuck(raw: RawInputs, *_: object) -> ModelInputs:
        seen.append(raw.text)
        entered.set()
        assert gate.wait(LIMIT_S)
        return ModelInputs()

    with Engine.open(tiny_bundle, Settings(models=tiny_bundle, threads=1)) as engine:
        monkeypatch.setattr("triad_serving.engine.engine.preprocess", stuck)
        first = engine.start(RawInputs(text="first"), Options(), request_id=None)
        assert entered.wait(LIMIT_S)
        dropped = engine.start(RawInputs(text="dropped"), Options(), request_id=None)
        assert dropped.answer.cancel()
        assert dropped.raw is None
        gate.set()
        first.answer.result(LIMIT_S)
    assert seen == ["first"]


@pytest.mark.parametrize("step", ["preprocess", "plan"])
def test_a_defect_before_the_queue_reaches_whoever_waits_and_nobody_else(
    step: str, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> ModelInputs:
        raise ZeroDivisionError

    with monkeypatch.context() as defect:
        defect.setattr(f"triad_serving.engine.engine.{step}", broken)
        with pytest.raises(InferenceError):
            engine.predict_sync(RawInputs(text="seven"))
    assert "ZeroDivisionError" in caplog.text
    assert engine.ready
    assert engine.predict_sync(EVERYTHING).predictions


def test_times_are_told_per_stage(engine: Engine) -> None:
    pending = engine.start(EVERYTHING, Options(), request_id=None)
    _, timings = engine.finish(pending, pending.answer.result(LIMIT_S))
    stages = (timings.preprocess_s, timings.queue_s, timings.inference_s, timings.postprocess_s)
    assert all(0 < seconds < LIMIT_S for seconds in stages)


def test_a_model_is_warm_before_the_first_request(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, ...]] = []
    real_run = Session.run

    def counted(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        runs.append(batch[0].media)
        return real_run(self, batch, wanted)

    monkeypatch.setattr(Session, "run", counted)
    with Engine.open(tiny_bundle):
        assert runs == [("text", "image", "audio")] * 2  # whole and in parts


@pytest.mark.parametrize(("largest", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_a_gpu_is_warm_for_every_size_of_batch(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, largest: int, sizes: list[int]
) -> None:
    """The same warming up as on CUDA, run here on the CPU; items shared by identity would be encoded once."""
    bundle = read_bundle(tiny_bundle)
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    encoded: list[int] = []
    real_run = Session.run

    def counted(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        encoded.append(len({id(inputs.image) for inputs in batch}))
        return real_run(self, batch, wanted)

    monkeypatch.setattr(Session, "run", counted)
    warm_up(session, bundle, largest=largest)
    assert encoded == sizes


def test_tensorrt_is_warm_for_the_smallest_batch_and_the_largest(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between them it need not compile; run here on the CPU."""
    bundle = read_bundle(tiny_bundle)
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    assert bundle.spec.text is not None
    assert bundle.spec.audio is not None
    shapes: list[tuple[int, int, int]] = []
    real_run = Session.run

    def watched(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        text, audio = batch[-1].text, batch[-1].audio
        assert text is not None
        assert audio is not None
        shapes.append((len(batch), len(text.ids_L), len(audio.samples_T)))
        return real_run(self, batch, wanted)

    monkeypatch.setattr(Session, "run", watched)
    warm_up(session, bundle, largest=6, extremes=True)
    longest = (6, bundle.spec.text.max_tokens, bundle.spec.audio.max_samples)
    assert shapes == [(1, 1, bundle.spec.audio.window), longest]


def test_batches_that_do_not_fit_the_gpu_do_not_stop_the_start(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = read_bundle(tiny_bundle)
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    real_run = Session.run

    def run(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        if len(batch) >= most:
            raise MemoryError("full")
        return real_run(self, batch, wanted)

    monkeypatch.setattr(Session, "run", run)
    most = 4
    warm_up(session, bundle, largest=32)
    assert [record.getMessage() for record in caplog.records] == [
        "Batches of 4 do not run, larger ones neither: full"
    ]
    most = 1
    with pytest.raises(BundleError, match="the graph does not run: full"):
        warm_up(session, bundle, largest=32)


def test_answers_are_finite_python_numbers(engine: Engine) -> None:
    assert all(
        type(number) is float and np.isfinite(number)
        for number in numbers_of(engine.predict_sync(EVERYTHING))
    )


def test_the_lexicon_of_each_bundle_is_its_own(tmp_path: Path) -> None:
    """Words that are not read have no attention; the others point at their place in the text as sent."""
    plain = read_bundle(write_tiny_bundle(tmp_path, name="plain"))
    files = {name: (plain.path / name).read_bytes() for name in plain.manifest.files}
    files |= {"stop_words.txt": b"the\n", "user_dictionary.txt": "量子酒\n".encode()}
    manifest = plain.manifest.model_copy(update={"name": "picky"})
    write_bundle(tmp_path / "picky" / "1", manifest, files | {"vocabulary.txt": "量子酒\n".encode()})
    text = "ＴＨＥ 量子酒 seven"

    def read(model: str) -> list[str]:
        options = Options(model=model, attention="full")
        attention = engine.predict_sync(RawInputs(text=text), options).predictions["kind"].attention
        assert attention is not None
        assert attention.text is not None
        assert all(text[word.start : word.end] == word.token for word in attention.text)
        return [word.token for word in attention.text]

    with Engine.open(tmp_path) as engine:
        assert read("picky") == ["量子酒", *"seven"]
        assert read("plain") == [*"ＴＨＥ量子酒", "seven"]
