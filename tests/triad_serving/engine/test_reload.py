"""Models that come, go and come back while the engine answers; broken ones change nothing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import write_tiny_bundle
from triad_serving.contract.errors import BundleError, NotFoundError, UnavailableError
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import read_bundle, write_bundle
from triad_serving.inference.options import Options
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.settings import Settings

LIMIT_S = 10.0
SEVEN = RawInputs(text="seven")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path)
    return tmp_path


@pytest.fixture
def engine(models: Path) -> Iterator[Engine]:
    with Engine.open(models) as engine:
        yield engine


def answering(engine: Engine, name: str = "tiny", version: str | None = None) -> str:
    return engine.predict_sync(SEVEN, Options(model=name, version=version)).version


def test_a_new_version_answers_and_the_old_one_still_can(engine: Engine, models: Path) -> None:
    write_tiny_bundle(models, version="2")
    assert answering(engine) == "1"
    assert engine.reload("tiny")
    assert answering(engine) == "2"
    assert answering(engine, version="1") == "1"


def test_going_back_to_an_older_version_lasts_until_the_next_reload_by_name(
    engine: Engine, models: Path
) -> None:
    write_tiny_bundle(models, version="2")
    engine.reload("tiny")
    engine.reload("tiny", "1")
    assert answering(engine) == "1"
    write_tiny_bundle(models, version="3")
    engine.load()  # on a signal, or because the folder changed
    assert (answering(engine), answering(engine, version="3")) == ("1", "3")
    engine.reload("tiny")
    assert answering(engine) == "3"


def test_what_is_loaded_is_not_loaded_again(engine: Engine, models: Path) -> None:
    before = engine.catalog.find("tiny")
    write_tiny_bundle(models, version="2")
    engine.reload("tiny")
    engine.load()
    assert engine.catalog.find("tiny", "1") is before


def test_another_bundle_in_the_place_of_a_version_is_loaded(engine: Engine, models: Path) -> None:
    shutil.rmtree(models / "tiny" / "1")
    write_tiny_bundle(models, description="another")
    engine.reload("tiny")
    assert engine.catalog.find("tiny").bundle.manifest.description == "another"


def test_a_request_under_way_keeps_its_version(
    engine: Engine, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(models, version="2")
    entered, gate, run = threading.Event(), threading.Event(), Session.run

    def held(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        if threading.current_thread().name.startswith("triad-worker"):
            entered.set()
            assert gate.wait(LIMIT_S)
        return run(self, batch, wanted)

    monkeypatch.setattr(Session, "run", held)
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(answering, engine)
        assert entered.wait(LIMIT_S)
        engine.reload("tiny")
        shutil.rmtree(models / "tiny" / "1")
        engine.reload("tiny")
        gate.set()
        assert begun.result(LIMIT_S) == "1"
    assert engine.catalog.versions("tiny") == ["2"]


def test_no_request_fails_while_versions_change(engine: Engine, models: Path) -> None:
    write_tiny_bundle(models, version="2")
    stop = threading.Event()

    def ask() -> list[str]:
        answers = []
        while not stop.is_set():
            answers.append(answering(engine))
        return answers

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        try:
            for version in (None, "1", None, "1", None):
                engine.reload("tiny", version)
                assert answering(engine) == (version or "2")
        finally:
            stop.set()
        assert all(client.result(LIMIT_S) for client in clients)  # a failed request raises here


def truncate(bundle: Path) -> None:
    graph = bundle / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])


def swap(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"the graph of another model")


def lose(bundle: Path) -> None:
    (bundle / "vocabulary.txt").unlink()


def lie(bundle: Path) -> None:
    manifest = bundle / "bundle.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"2"', '"two"'), encoding="utf-8")


def break_graph(bundle: Path) -> None:
    """Its hash is right: only whoever loads it finds out."""
    manifest = read_bundle(bundle).manifest
    shutil.rmtree(bundle)
    write_bundle(bundle, manifest, {"model.onnx": b"no graph", "vocabulary.txt": b"seven\n"})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (truncate, "model.onnx was changed"),
        (swap, "model.onnx was changed"),
        (lose, "vocabulary.txt cannot be read"),
        (lie, "bundle.json: version: String should match"),
        (break_graph, "The graph cannot be loaded"),
    ],
)
def test_a_broken_version_is_refused_and_nothing_changes(
    engine: Engine, models: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(write_tiny_bundle(models, version="2"))
    for reload in (engine.load, lambda: engine.reload("tiny")):
        before = engine.catalog
        with pytest.raises(BundleError, match=sentence):
            reload()
        assert engine.catalog is before
    assert answering(engine) == "1"


def test_a_version_that_loads_but_does_not_run_is_refused(
    engine: Engine, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(models, version="2")

    def broken(*_: object) -> list[ModelOutputs]:
        raise RuntimeError("a node failed")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", broken)
        with pytest.raises(BundleError, match="the graph does not run: a node failed"):
            engine.reload("tiny")
    assert answering(engine) == "1"


def test_a_closed_engine_reloads_nothing(models: Path) -> None:
    with pytest.raises(UnavailableError):
        Engine.open(models).reload("tiny")


def test_going_back_needs_nothing_from_a_folder_that_is_broken_by_now(engine: Engine, models: Path) -> None:
    write_tiny_bundle(models, version="2")
    engine.reload("tiny")
    swap(models / "tiny" / "2")
    engine.reload("tiny", "1")
    assert answering(engine) == "1"


def test_models_are_reloaded_by_name_without_the_others(engine: Engine, models: Path) -> None:
    swap(write_tiny_bundle(models, name="broken"))
    write_tiny_bundle(models, name="another")
    engine.reload("another")
    assert engine.catalog.names == ["another", "tiny"]
    with pytest.raises(NotFoundError, match="no model 'cats'; served: another, tiny"):
        engine.reload("cats")
    with pytest.raises(NotFoundError, match="no version '9'; served: 1"):
        engine.reload("tiny", "9")
    shutil.rmtree(models / "another")
    with pytest.raises(BundleError, match="No version of another is there any more"):
        engine.reload("another")


def test_a_setting_says_which_version_answers_by_default(models: Path) -> None:
    write_tiny_bundle(models, version="2")
    with Engine.open(models, Settings(models=models, default_versions={"tiny": "1"})) as engine:
        assert answering(engine) == "1"
    with pytest.raises(BundleError, match="no tiny version 9"):
        Engine.open(models, Settings(models=models, default_versions={"tiny": "9"})).load()
