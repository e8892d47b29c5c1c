"""A network rebuilt from its bundle is the one that was exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save

import triad_serving
from tests.triad_training.conftest import table_folder
from triad_serving.contract.errors import BundleError
from triad_serving.inference.bundle import WEIGHTS_FILE, Bundle, read_bundle, write_bundle
from triad_serving.inference.session import Session
from triad_training.evaluation.evaluate import open_table
from triad_training.network.parity import MAX_DRIFT, check_parity, parity_examples
from triad_training.network.rebuild import rebuild_network

DIGITS = Path(triad_serving.__file__).parent / "models" / "digits" / "1"


def rewritten(bundle: Bundle, folder: Path, weights: bytes | None) -> Bundle:
    """The same bundle with other weights, or with none."""
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    files.pop(WEIGHTS_FILE)
    if weights is not None:
        files[WEIGHTS_FILE] = weights
    return write_bundle(folder / "1", bundle.manifest, files)


def test_the_rebuilt_network_answers_as_the_graph(expert_bundle: Bundle) -> None:
    bundle = expert_bundle
    table = open_table(bundle, table_folder(bundle) / "metadata.csv", ["validation"])
    validation = table.dataset(table.split("validation"))
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    model = rebuild_network(bundle)
    assert not model.training
    assert model.asks_experts
    assert any(model.head(task.name).expert_trust_SE.any() for task in bundle.tasks)
    drift = check_parity(model, session, bundle.spec, parity_examples(validation))
    assert drift < MAX_DRIFT


def test_a_bundle_from_before_there_were_experts_is_rebuilt_without_any() -> None:
    bundle = read_bundle(DIGITS)
    model = rebuild_network(bundle)
    assert not model.asks_experts
    assert model.expert_names == []
    assert all((model.head(task.name).trust_SM == 1).all() for task in bundle.tasks)


def test_a_bundle_without_weights_is_refused(toy_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no weights\.safetensors"):
        rebuild_network(rewritten(toy_bundle, tmp_path, None))


def test_weights_of_another_network_are_refused(toy_bundle: Bundle, tmp_path: Path) -> None:
    tensors = load_file(toy_bundle.path / WEIGHTS_FILE)
    tensors["fusion.norm.weight"] = tensors["fusion.norm.weight"][:-1].clone()
    with pytest.raises(BundleError, match=r"is not of its network .*fusion\.norm\.weight"):
        rebuild_network(rewritten(toy_bundle, tmp_path / "misshapen", save(tensors)))
    with pytest.raises(BundleError, match="is not of its network"):
        rebuild_network(rewritten(toy_bundle, tmp_path / "garbled", b"not a tensor"))
