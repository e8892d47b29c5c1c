"""8-bit graphs: small weights, near answers, an exact front end."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.triad_training.conftest import table_folder
from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import Wanted, media_subsets
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs
from triad_training.compression.quantize import THIN, quantize_dynamic, quantize_static
from triad_training.config.reading import load_config
from triad_training.learning.prepare import Prepared, prepare


@pytest.fixture(scope="module")
def prepared(toy_bundle: Bundle) -> Prepared:
    return prepare(load_config(table_folder(toy_bundle) / "config.toml"))


@pytest.fixture(scope="module")
def static(toy_bundle: Bundle, prepared: Prepared) -> bytes:
    whole = [prepared.train[i].inputs for i in range(16)]
    batches = [[i.only(*s) for i in whole[n : n + 8] for s in media_subsets(i.media)] for n in (0, 8)]
    return quantize_static(toy_bundle.model_path.read_bytes(), toy_bundle.spec, batches)


@pytest.fixture(scope="module")
def dynamic(toy_bundle: Bundle) -> bytes:
    return quantize_dynamic(toy_bundle.model_path.read_bytes())


def weights(graph: bytes) -> dict[str, TensorProto]:
    """Constants of 100 numbers and more."""
    return {t.name: t for t in onnx.load_from_string(graph).graph.initializer if np.prod(t.dims) >= 100}


def open_graph(bundle: Bundle, graph: bytes) -> Session:
    """Verifies the contract."""
    return Session(graph, spec=bundle.spec, tasks=bundle.tasks, device="cpu")


def answers(session: Session, batch: list[ModelInputs]) -> F32:
    """Logits of `kind`, [B, 2]."""
    return np.stack([row.logits_K["kind"] for row in session.run(batch, Wanted())])


def test_static_leaves_floats_only_where_they_are_needed(static: bytes) -> None:
    floats = {n: tensor for n, tensor in weights(static).items() if tensor.data_type == TensorProto.FLOAT}
    assert any("front_end" in name for name in floats)
    thin = {name for name, tensor in floats.items() if len(tensor.dims) > 2 and tensor.dims[1] < THIN}
    assert any("front_end" not in name for name in thin)
    assert all("front_end" in name or "positions" in name for name in floats.keys() - thin)


def test_dynamic_leaves_convolutions_alone(toy_bundle: Bundle, dynamic: bytes) -> None:
    before, after = weights(toy_bundle.model_path.read_bytes()), weights(dynamic)
    kept = {name for name, tensor in after.items() if tensor.data_type == TensorProto.FLOAT}
    convolutions = {name for name, tensor in before.items() if len(tensor.dims) > 2}
    assert convolutions <= kept
    assert all(name in convolutions or "positions" in name or ".heads." in name for name in kept)


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_every_subset_is_answered_nearly_as_before(
    kind: str, toy_bundle: Bundle, prepared: Prepared, request: pytest.FixtureRequest
) -> None:
    session = open_graph(toy_bundle, request.getfixturevalue(kind))
    whole = [prepared.test[i].inputs for i in range(10)]
    batch = [inputs.only(*subset) for inputs in whole for subset in media_subsets(inputs.media)]
    before = answers(open_graph(toy_bundle, toy_bundle.model_path.read_bytes()), batch)
    after = answers(session, batch)
    near = 0.05 * np.abs(before).max()
    assert 0 < np.abs(after - before).max() < near
    # Dynamic scales follow the batch, static ones do not: there neighbours change nothing.
    alone = np.concatenate([answers(session, [inputs]) for inputs in batch])
    assert np.abs(alone - after).max() < (1e-4 if kind == "static" else near)
