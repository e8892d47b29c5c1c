"""An exported model repository: its files, and the backend that answers within Triton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import png_bytes
from triad_serving.contract.errors import SetupError, TriadError
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Classification
from triad_serving.inference.bundle import read_bundle
from triad_serving.media.example import RawInputs
from triad_serving.operation.triton_backend import Backend, to_array
from triad_serving.operation.triton_export import export_triton


def test_a_model_repository_is_written_once(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    model = export_triton(bundle, tmp_path)
    assert model == tmp_path / "tiny"
    assert read_bundle(model / "1" / "bundle").manifest == bundle.manifest
    compile((model / "1" / "model.py").read_text(), "model.py", "exec")
    lines = (model / "config.pbtxt").read_text().splitlines()
    assert lines[:4] == [
        'name: "tiny"',
        'backend: "python"',
        "max_batch_size: 32",
        "dynamic_batching { }",
    ]
    assert '  { name: "text", data_type: TYPE_STRING, dims: [ 1 ], optional: true },' in lines
    assert '  { name: "probability.tags", data_type: TYPE_FP32, dims: [ 2 ] },' in lines
    with pytest.raises(SetupError, match="never overwritten"):
        export_triton(bundle, tmp_path)


def test_the_backend_answers_each_request_or_says_why_not(tiny_bundle: Path, tmp_path: Path) -> None:
    image = png_bytes(value=102)
    texts = np.array([[b"seven"], [b""]], dtype=np.object_)
    images = np.array([[b""], [image]], dtype=np.object_)
    backend = Backend(export_triton(read_bundle(tiny_bundle), tmp_path) / "1" / "bundle")
    try:
        good, bad = backend.answer(
            [
                ({"text": texts, "image": images}, ["label.kind", "probability.tags"]),
                ({"image": np.array([[b"GIF"]], dtype=np.object_)}, []),
            ]
        )
    finally:
        backend.close()
    assert isinstance(bad, TriadError)
    assert str(bad).startswith("Not an image")
    assert isinstance(good, list)
    label, tags = map(to_array, good)
    assert (label.dtype, label.shape, tags.dtype, tags.shape) == (np.object_, (2, 1), np.float32, (2, 2))
    with Engine.open(tiny_bundle) as engine:
        for told, raw in zip(label[:, 0], (RawInputs(text="seven"), RawInputs(image=image)), strict=True):
            expected = engine.predict_sync(raw).predictions["kind"]
            assert isinstance(expected, Classification)
            assert told.decode() == expected.label
