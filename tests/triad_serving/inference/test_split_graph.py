"""A graph in parts answers as the whole; on the tiny model (see conftest) and on the shipped ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import tiny_model
from tests.triad_serving.inference.test_session import MEDIA, SUBSETS, assert_same, mixed_batch
from triad_serving.contract.outputs import MediumName
from triad_serving.inference import split_graph
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_serving.inference.graph_parts import take_apart
from triad_serving.inference.session import EVERYTHING, Session
from triad_serving.media.example import ModelInputs
from triad_serving.media.registry import present
from triad_serving.settings import SHIPPED_MODELS

INPUTS = {"text": ["token_ids"], "image": ["pixels"], "audio": ["samples", "sample_counts"]}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def in_parts(graph: Path | bytes, bundle: Bundle) -> Session:
    session = Session(graph, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    session.take_apart()
    return session


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return in_parts(bundle.model_path, bundle)


@pytest.mark.parametrize("example", mixed_batch())
def test_encoded_beforehand_an_example_is_answered_as_by_the_whole_graph(
    bundle: Bundle, session: Session, example: ModelInputs
) -> None:
    whole = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    encoded = session.encoded(example)

    assert set(encoded.encoded) == set(example.media)
    assert_same(session.run([encoded], EVERYTHING)[0], whole.run([example], EVERYTHING)[0])


@pytest.mark.parametrize("precision", ["single", "int8"])
def test_the_shipped_graphs_fall_into_parts(precision: str) -> None:
    bundle = read_bundle(SHIPPED_MODELS / "digits" / "1")
    graph = bundle.model_path if precision == "single" else bundle.int8_path
    assert graph is not None
    session = in_parts(graph, bundle)
    blanks = {m.name: m.blank(own, bundle.assets.get(m.name)) for m, own in present(bundle.spec)}
    for subset in SUBSETS:
        example = ModelInputs(**{medium: blanks[medium] for medium in subset})

        found, expected = (
            session.run([session.encoded(example)], EVERYTHING),
            session.run([example] * 2, EVERYTHING),
        )

        assert_same(found[0], expected[0])


@pytest.mark.parametrize("medium", MEDIA)
def test_of_a_single_medium_no_other_encoder_runs(
    session: Session, medium: MediumName, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[MediumName] = []
    encode = Session.encode

    def counted(self: Session, medium: MediumName, item: object) -> split_graph.Feed:
        ran.append(medium)
        return encode(self, medium, item)

    monkeypatch.setattr(Session, "encode", counted)
    session.run([mixed_batch()[-1].only(medium)], EVERYTHING)

    assert ran == [medium]


def test_a_large_graph_is_not_loaded_twice(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_parts(bundle.model_path, bundle).encodes
    monkeypatch.setattr(split_graph, "MOST_BYTES", bundle.model_path.stat().st_size - 1)

    assert not in_parts(bundle.model_path, bundle).encodes
    assert not in_parts(bundle.model_path.read_bytes(), bundle).encodes


def with_external_numbers() -> onnx.ModelProto:
    model = tiny_model()
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "elsewhere")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="numbers.bin")
    model.graph.initializer.append(tensor)
    return model


def with_a_branch() -> onnx.ModelProto:
    model = tiny_model()
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["pixels"], [], then_branch=branch, else_branch=branch))
    return model


def without_an_image() -> onnx.ModelProto:
    """Reads it, but makes nothing of it."""
    model = onnx.ModelProto()
    model.graph.input.append(onnx.ValueInfoProto(name="pixels"))
    return model


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (with_external_numbers(), INPUTS),
        (with_a_branch(), INPUTS),
        (without_an_image(), {"image": ["pixels"]}),
    ],
)
def test_some_graphs_stay_whole(model: onnx.ModelProto, inputs: dict[str, list[str]]) -> None:
    assert take_apart(tiny_model().SerializeToString(), INPUTS) is not None

    assert take_apart(model.SerializeToString(), inputs) is None
