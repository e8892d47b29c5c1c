"""An architecture that the tests do not know is exported before anything is trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import triad_training.train as training
from tests.triad_training.conftest import make_toy_folder
from tests.triad_training.media.pretrained.conftest import SIDE, save_source
from triad_serving.contract.errors import ExportError
from triad_training.network import rehearsal


def save_resnet(folder: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def test_it_is_refused_before_the_training_where_it_does_not_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TrainedError(Exception):
        pass

    def train(*_: object) -> None:
        raise TrainedError

    def export(*_: object) -> bytes:
        raise torch.onnx.OnnxExporterError("no decomposition\n  of roll")

    folder = make_toy_folder(tmp_path)
    save_resnet(folder / "resnet")
    save_source(folder / "vit", "vit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "fit", train)
    monkeypatch.setattr(rehearsal, "export_graph", export)
    with pytest.raises(ExportError, match=r"type resnet does not become a graph: no decomposition of roll"):
        training.train_bundle(
            folder / "config.toml", out=tmp_path, overrides=["model.image_encoder.source=resnet"]
        )
    for known in ("model.image_encoder.source=vit", "model.dropout=0.2"):
        with pytest.raises(TrainedError):
            training.train_bundle(folder / "config.toml", out=tmp_path, overrides=[known])
