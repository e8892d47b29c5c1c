"""Which graph runs of a bundle that has one in single precision and one with 8-bit weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.conftest import SPEC, TASKS, WORDS, tiny_model
from triad_serving.contract.device import Precision
from triad_serving.contract.errors import BundleError
from triad_serving.engine import catalog
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import (
    INT8_FILE,
    MODEL_FILE,
    Bundle,
    BundleManifest,
    Compression,
    write_bundle,
)
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings

COMPRESSION = Compression(
    original="tiny 1", original_sha256="", steps=("int8 static",), size=0.3, speed={}, difference={}, drop=0.0
)


def write(path: Path, *, int8: bool = True, listed: bool = True, **changes: object) -> Bundle:
    """The second graph says one more for `size`."""
    other = tiny_model()
    (node,) = [node for node in other.graph.node if "logits.size" in node.output]
    node.output[0] = "before"
    one = onnx.helper.make_tensor("one_more", onnx.TensorProto.FLOAT, [1], [1.0])
    other.graph.initializer.append(one)
    other.graph.node.add(op_type="Add", input=["before", "one_more"], output=["logits.size"])
    manifest = BundleManifest(
        name="tiny",
        version="1",
        created="2026-11-28T00:00:00Z",
        parameters=0,
        preprocess=SPEC,
        tasks=TASKS,
        int8=COMPRESSION if int8 else None,
    ).model_copy(update=changes)
    files = {MODEL_FILE: tiny_model().SerializeToString(), "vocabulary.txt": "\n".join((*WORDS, "")).encode()}
    return write_bundle(
        path, manifest, {**files, **({INT8_FILE: other.SerializeToString()} if int8 and listed else {})}
    )


def ask(bundle: Bundle, **settings: Any) -> tuple[Precision, float]:
    """What the answer says of itself, and how much it says."""
    with Engine.open(bundle.path, Settings(models=bundle.path, device="cpu", **settings)) as engine:
        answer = engine.predict_sync(RawInputs(text="seven"))
    return answer.precision, round(answer.predictions["size"].value, 4)  # type: ignore[union-attr]


@pytest.mark.parametrize("faster", [True, False])
def test_by_default_the_faster_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    bundle = write(tmp_path / "tiny")
    monkeypatch.setattr(catalog, "_is_faster", lambda *_: faster)
    assert ask(bundle) == (("int8", 1.2) if faster else ("single", 0.2))


@pytest.mark.parametrize("faster", [True, False])
def test_what_a_supervisor_has_chosen_runs_in_all_of_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    bundle = write(tmp_path / "tiny")
    monkeypatch.setenv(catalog.FASTER, "{}")  # so that it is as before afterwards
    monkeypatch.setattr(catalog, "_is_faster", lambda *_: faster)
    catalog.choose_graphs(bundle.path, Settings(models=bundle.path, device="cpu"))
    monkeypatch.setattr(catalog, "_is_faster", lambda *_: not faster)
    opened: list[Path] = []
    session = catalog._session
    monkeypatch.setattr(catalog, "_session", lambda *asked: opened.append(asked[2]) or session(*asked))
    assert ask(bundle)[0] == ("int8" if faster else "single")
    assert opened == [bundle.int8_path if faster else bundle.model_path]
    assert ask(bundle, precision="single")[0] == "single"


@pytest.mark.parametrize(("asked", "says"), [("single", ("single", 0.2)), ("int8", ("int8", 1.2))])
def test_a_setting_decides(tmp_path: Path, asked: str, says: tuple[str, float]) -> None:
    assert ask(write(tmp_path / "tiny"), precision=asked) == says


def test_8_bits_that_are_not_there_are_refused(tmp_path: Path) -> None:
    bundle = write(tmp_path / "tiny", int8=False)
    assert ask(bundle) == ("single", 0.2)
    with pytest.raises(BundleError, match="has no graph with 8-bit weights"):
        ask(bundle, precision="int8")


@pytest.mark.parametrize(
    ("steps", "precision"), [(("int8 dynamic",), "int8"), (("pruned by 0.5",), "single"), (("fp16",), "half")]
)
def test_a_compressed_graph_says_what_it_is(
    tmp_path: Path, steps: tuple[str, ...], precision: Precision
) -> None:
    made = COMPRESSION.model_copy(update={"steps": steps})
    assert ask(write(tmp_path / "tiny", int8=False, compression=made))[0] == precision


def test_a_listed_graph_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=rf"does not list {INT8_FILE}"):
        write(tmp_path / "tiny", listed=False)


def test_medians_of_turns_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    class Timed:
        def __init__(self, *costs_s: float) -> None:
            self.left_s = list(costs_s)

        def run(self, *_: object) -> None:
            nonlocal now_s
            now_s += self.left_s.pop(0)

    monkeypatch.setattr(catalog.time, "perf_counter", lambda: now_s)
    bundle = write(tmp_path / "tiny")
    one, two = (9, 1, 1, 1, 5, 5), (0, 2, 2, 2, 2, 0)  # the first of each is not counted
    assert catalog._is_faster(Timed(*one), Timed(*two), bundle)  # type: ignore[arg-type]
    assert not catalog._is_faster(Timed(*two), Timed(*one), bundle)  # type: ignore[arg-type]
