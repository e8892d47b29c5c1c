"""A table without a label becomes a bundle that embeds: media that belong together lie near each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.triad_training.conftest import CONFIG, make_toy_folder
from triad_serving.contract.outputs import Wanted
from triad_serving.inference.session import Session
from triad_serving.operation.inspection import describe_bundle
from triad_training.compression.compress import Recipe, compress_bundle
from triad_training.evaluation.evaluate import evaluate_bundle
from triad_training.network.rebuild import rebuild_network
from triad_training.train import report_page, train_bundle


def test_a_table_without_labels_becomes_a_bundle_that_finds_one_medium_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_toy_folder(tmp_path)
    start, end = CONFIG.index("[tasks.kind]"), CONFIG.index("[preprocess.image]")
    config = (tmp_path / "config.toml").read_text("utf-8").replace(CONFIG[start:end], "")
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    overrides = ["optim.contrast=1.0", "model.embedding=16", "optim.epochs=4", "data.audio=''"]
    bundle = train_bundle(tmp_path / "config.toml", overrides=overrides)
    assert bundle.tasks == ()
    found = bundle.manifest.retrieval["test"]
    assert list(found) == ["text -> image", "image -> text"]
    by_text = found["text -> image"]["row"]
    assert by_text["map"] > by_text["chance map"] + 0.1

    evaluation = evaluate_bundle(bundle.path, tmp_path / "metadata.csv")
    assert json.loads(evaluation.json())["retrieval"] == found
    assert "| text -> image | the same row | 4 |" in evaluation.table()
    assert "## Search between media" in (bundle.path / "MODEL_CARD.md").read_text("utf-8")
    assert "image -> text" in describe_bundle(bundle)
    assert 'id="search"' in report_page(bundle).read_text("utf-8")

    table = tmp_path / "metadata.csv"
    smaller = compress_bundle(bundle.path, table, Recipe(fp16=True), out=tmp_path / "smaller")
    assert smaller.manifest.retrieval["test"].keys() == found.keys()
    original = smaller.comparison.variants[0].retrieval["text -> image"]["row"]
    assert original == pytest.approx(by_text, abs=0.01)  # the rows in another order
    assert "| searches, mean recall |" in smaller.comparison.table()
    assert "mean recall of searches between media" in str(smaller.comparison.result.drop)

    row = evaluation.dataset[0].inputs
    session = Session(bundle.model_path, spec=bundle.spec, tasks=())
    assert session.run([row], Wanted())[0].logits_K == {}
    [alone] = session.run([row], Wanted(embeddings=True))
    _, beside = session.run([evaluation.dataset[1].inputs, row], Wanted(embeddings=True))
    for part, vector_D in alone.embeddings_D.items():
        assert np.allclose(vector_D, beside.embeddings_D[part], atol=1e-4)
    assert rebuild_network(bundle).shared is not None
