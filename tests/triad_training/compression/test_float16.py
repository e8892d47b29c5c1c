"""A graph in 16-bit floats: half the weights, the same contract, the same answers."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto

from tests.triad_training.conftest import table_folder
from triad_serving.contract.outputs import media_subsets
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.session import EVERYTHING, Session
from triad_training.compression.float16 import convert_to_half
from triad_training.config.reading import load_config
from triad_training.learning.prepare import prepare
from triad_training.network.export import export_graph
from triad_training.network.rebuild import rebuild_network


def test_answers_stay_even_where_a_regression_is_beyond_what_16_bits_hold(toy_bundle: Bundle) -> None:
    prepared = prepare(load_config(table_folder(toy_bundle) / "config.toml"))
    model = rebuild_network(toy_bundle)
    with torch.no_grad():
        model.head("size").set_unit(1_000_000.0, 200_000.0)
    graph = export_graph(model, toy_bundle.spec, toy_bundle.tasks)
    before, after = (
        Session(each, spec=toy_bundle.spec, tasks=toy_bundle.tasks, device="cpu")  # verifies the contract
        for each in (graph, convert_to_half(graph))
    )
    whole = [prepared.test[i].inputs for i in range(10)]
    batch = [inputs.only(*subset) for inputs in whole for subset in media_subsets(inputs.media)]
    for old, new in zip(before.run(batch, EVERYTHING), after.run(batch, EVERYTHING), strict=True):
        assert np.allclose(new.logits_K["kind"], old.logits_K["kind"], rtol=0.01, atol=0.02)
        assert np.allclose(new.logits_K["size"], old.logits_K["size"], rtol=0.005)
        assert np.allclose(new.embeddings_D["fused"], old.embeddings_D["fused"], atol=0.01)
        for medium, weights in old.attention["kind"].items():
            assert np.allclose(new.attention["kind"][medium], weights, atol=0.01)
            assert new.logits_K["kind"].dtype == np.float32


def test_weights_are_16_bits_and_the_front_end_is_not(toy_bundle: Bundle) -> None:
    half = onnx.load_from_string(convert_to_half(toy_bundle.model_path.read_bytes()))
    large = {t.name: t.data_type for t in half.graph.initializer if np.prod(t.dims) >= 100}
    exact = {name for name, kind in large.items() if kind == TensorProto.FLOAT}
    assert exact
    assert all("front_end" in name or "positions" in name for name in exact)
    assert set(large.values()) == {TensorProto.FLOAT, TensorProto.FLOAT16}
