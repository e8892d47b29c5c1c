"""What a graph needs beside itself: compared with graphs that the package onnx makes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import tiny_model, write_tiny_bundle
from triad_serving.contract.errors import BundleError
from triad_serving.engine.catalog import load_catalog
from triad_serving.inference.bundle import MANIFEST_FILE, read_bundle, write_bundle
from triad_serving.inference.graph_file import Needs, check_graphs, needs_of
from triad_serving.settings import SHIPPED_MODELS, Settings

NOTHING = Needs(domains=frozenset(), files=frozenset())


def external(name: str, location: str) -> TensorProto:
    """A tensor whose numbers lie in another file."""
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph_of(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "g", [], [], list(initializers))


def constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def branch(graph: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph)


FOREIGN = helper.make_node("Steal", ["x"], ["y"], domain="evil.example")
FUSED = helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft")
OWN = helper.make_function("own", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [])
CALL = helper.make_node("F", ["x"], ["y"], domain="own")
HIDING = helper.make_function("own", "F", ["x"], ["y"], [FOREIGN], [])


@pytest.mark.parametrize(
    ("model", "domains", "files"),
    [
        (helper.make_model(graph_of()), set(), set()),
        (tiny_model(), set(), set()),
        (helper.make_model(graph_of(initializers=(external("w", "w.bin"),))), set(), {"w.bin"}),
        (
            helper.make_model(graph_of(constant(external("c", "../../etc/passwd")))),
            set(),
            {"../../etc/passwd"},
        ),
        (helper.make_model(graph_of(branch(graph_of(constant(external("c", "deep")))))), set(), {"deep"}),
        (
            helper.make_model(graph_of(FUSED, branch(graph_of(FOREIGN)))),
            {"com.microsoft", "evil.example"},
            set(),
        ),
        (helper.make_model(graph_of(CALL), functions=[OWN]), set(), set()),
        (helper.make_model(graph_of(CALL), functions=[HIDING]), {"evil.example"}, set()),
    ],
)
def test_other_files_and_foreign_operators_are_found_wherever_they_lie(
    tmp_path: Path, model: onnx.ModelProto, domains: set[str], files: set[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert needs_of(path) == Needs(domains=frozenset(domains), files=frozenset(files))


def test_the_shipped_model_needs_nothing() -> None:
    assert needs_of(SHIPPED_MODELS / "digits/1/model.onnx") == NOTHING


@given(st.binary(max_size=60), st.integers(min_value=0, max_value=200))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_no_graph_is_refused_and_breaks_nothing(tmp_path: Path, tail: bytes, cut: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph_of(FOREIGN)).SerializeToString()[:cut] + tail)
    with suppress(BundleError):
        assert isinstance(needs_of(path), Needs)


def rewritten(tmp_path: Path, model: onnx.ModelProto, **more: bytes) -> Path:
    """The tiny bundle with another graph, hashes right. more: files beside it."""
    bundle = read_bundle(write_tiny_bundle(tmp_path / "before"))
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    files |= {"model.onnx": model.SerializeToString(), **more}
    return write_bundle(tmp_path / "after" / "tiny" / "1", bundle.manifest, files).path


def test_a_graph_that_reads_an_unlisted_file_is_not_served(tmp_path: Path) -> None:
    model = tiny_model()
    model.graph.initializer.append(external("w", "weights"))
    path = rewritten(tmp_path, model)
    with pytest.raises(BundleError, match="its graph reads 'weights', which is not listed"):
        load_catalog(path, Settings(models=path))
    (path / "weights").write_bytes(bytes(16))  # there, but nobody vouches for it
    with pytest.raises(BundleError, match="which is not listed"):
        load_catalog(path, Settings(models=path))
    assert "weights" not in (path / MANIFEST_FILE).read_text()


def test_a_graph_that_reads_a_listed_file_is_served(tmp_path: Path) -> None:
    model = tiny_model()
    model.graph.initializer.append(external("w", "weights"))
    path = rewritten(tmp_path, model, weights=bytes(16))
    assert load_catalog(path, Settings(models=path)).names == ["tiny"]


def test_a_graph_with_operators_of_others_is_not_served(tmp_path: Path) -> None:
    model = tiny_model()
    model.graph.node.append(FOREIGN)
    with pytest.raises(BundleError, match=r"its graph has operators of 'evil\.example'"):
        check_graphs(read_bundle(rewritten(tmp_path, model)))
