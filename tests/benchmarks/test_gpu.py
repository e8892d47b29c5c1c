from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu.__main__ import EndToEnd, markdown
from benchmarks.gpu.contenders import (
    MissingError,
    contenders,
    items_per_s,
    load_model,
    make_batch,
    megabytes,
)
from benchmarks.gpu.utilisation import mean_share, watch
from triad_serving.contract.device import GpuMode
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.packing import pack_batch


def test_no_item_of_a_batch_is_another_one_again(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    batch = make_batch(bundle, 30, sound_s=0.1)
    feed = pack_batch(batch, bundle.spec)
    assert len(feed["pixels"]) == len(feed["samples"]) == len(feed["token_ids"]) == 30
    assert np.array_equal(feed["image_row"], np.arange(30))
    assert megabytes(batch, bundle) > 30 * 800 * 2 / 2**20


@pytest.mark.parametrize("gpu_mode", ["kernels", "graphs"])
def test_everything_but_the_network_runs_on_a_bundle_without_weights(
    tiny_bundle: Path, gpu_mode: GpuMode
) -> None:
    bundle = read_bundle(tiny_bundle)
    found = contenders(load_model(bundle, "cpu", gpu_mode), make_batch(bundle, 2, sound_s=0.1))
    for name in ("copy to the device", "bare ONNX Runtime", "triad_serving.inference.session"):
        assert items_per_s(found[name](), 2, seconds=0.01, rounds=1) > 0
    for name in ("PyTorch", "PyTorch compiled"):
        with pytest.raises(MissingError, match="holds no weights"):
            found[name]()


def test_the_service_is_compared_with_the_best_batch_of_the_bare_graph() -> None:
    rates = {
        1: {"bare ONNX Runtime": 100.0, "triad_serving.inference.session": 90.0},
        8: {"bare ONNX Runtime": 400.0, "PyTorch": 50.0},
    }
    served = EndToEnd(workers=2, concurrency=64, rps=300.0, p50_ms=1.0, p99_ms=2.0, errors=0, gpu=0.875)
    page = markdown(rates, {1: 0.5, 8: 4.0}, [served], {"PyTorch": "batch 1: out of memory"})
    assert "| 1 | 0.50 | 100 | 90 |  |" in page
    assert "| 8 | 4.00 | 400 |  | 50 |" in page
    assert "| 2 | 64 | 300 | 0.75 | 1.0 | 2.0 | 0 | 88% |" in page
    assert "- PyTorch: batch 1: out of memory" in page


def test_utilisation_is_the_mean_of_what_was_printed() -> None:
    assert mean_share("90\n80\n[N/A]\n100\n") == pytest.approx(0.9)
    assert mean_share("") is None


def test_without_nvidia_smi_the_work_is_done_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert watch(lambda: 7) == (7, None)
