"""Variants side by side: what is equal, what is lost, and what was never there."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.triad_training.conftest import table_folder
from triad_serving.contract.errors import CompressionError
from triad_serving.contract.outputs import media_subsets
from triad_serving.inference.bundle import Bundle
from triad_training.compression.compare import Variant, compare
from triad_training.config.reading import load_config
from triad_training.data.dataset import ExampleDataset
from triad_training.evaluation.evaluate import evaluate_bundle
from triad_training.learning.prepare import prepare


@pytest.fixture(scope="module")
def dataset(toy_bundle: Bundle) -> ExampleDataset:
    return prepare(load_config(table_folder(toy_bundle) / "config.toml")).test


@pytest.fixture(scope="module")
def original(toy_bundle: Bundle) -> Variant:
    return Variant(name="original", graph=toy_bundle.model_path.read_bytes(), tasks=toy_bundle.tasks)


def blinded(graph: bytes) -> bytes:
    """The same graph, its logits multiplied by zero: it answers everything alike."""
    model = onnx.load_from_string(graph)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    for node in list(model.graph.node):
        for i, name in enumerate(node.output):
            if name.startswith("logits."):
                node.output[i] = f"{name}.seen"
                model.graph.node.append(helper.make_node("Mul", [node.output[i], "zero"], [name]))
    return model.SerializeToString()


def test_a_model_compared_with_itself_loses_nothing(
    toy_bundle: Bundle, original: Variant, dataset: ExampleDataset
) -> None:
    again = dataclasses.replace(original, name="again")
    found = compare([original, again], toy_bundle.spec, dataset, device="cpu")
    assert found.result.difference == dict.fromkeys(("kind", "tags", "size"), 0.0)
    assert found.result.drop is not None
    assert found.result.drop.points == 0
    assert found.result.size == len(original.graph)
    assert found.result.speed.keys() == {"+".join(s) for s in media_subsets(toy_bundle.spec.media)}
    assert all(0.5 < ratio < 2 for ratio in found.result.speed.values())
    table = table_folder(toy_bundle) / "metadata.csv"
    assert found.result.scores == evaluate_bundle(toy_bundle.path, table).scores
    assert "| text+image+audio, ms |" in found.table()
    found.require(0.0)


def test_what_is_lost_is_found_and_refused(
    toy_bundle: Bundle, original: Variant, dataset: ExampleDataset
) -> None:
    blind = dataclasses.replace(original, name="blind", graph=blinded(original.graph))
    found = compare([original, blind], toy_bundle.spec, dataset, device="cpu")
    assert found.result.drop is not None
    assert found.result.drop.points > 30
    assert found.result.difference["kind"] > 0.3
    assert np.isclose(found.result.difference["size"], 150, atol=60)  # sizes are 100 and 150, its answer 0
    with pytest.raises(
        CompressionError, match=r"blind loses \d+\.\d\d points \(\w+ from [\w+]+\); at most 30"
    ):
        found.require(30)


def test_nothing_is_counted_where_the_original_knows_nothing(
    toy_bundle: Bundle, original: Variant, dataset: ExampleDataset
) -> None:
    """A coin thrown anew falls otherwise, which is no loss."""
    blind = dataclasses.replace(original, graph=blinded(original.graph))
    found = compare([blind, dataclasses.replace(blind, name="same")], toy_bundle.spec, dataset, device="cpu")
    assert found.result.drop is None
    assert "kind from text+image+audio" in found.unjudged
    assert "none counted" in found.table()
    found.require(0.0)
