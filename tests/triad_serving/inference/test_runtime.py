"""The runtime on the tiny model (see conftest), on the CPU: of what is for GPUs all that runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from triad_serving.contract.arrays import Feed
from triad_serving.contract.device import GpuMode
from triad_serving.contract.errors import DeviceError
from triad_serving.inference import runtime
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.runtime import Graph, cuda_options
from triad_serving.media.example import ModelInputs
from triad_serving.media.text.spec import TextInput

NAMES = ["logits.kind", "logits.size"]
without_gpu = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture
def replaying(bundle: Bundle) -> Graph:
    graph = Graph(bundle.model_path, device="cpu")
    graph.replay()
    return graph


def feed_of(bundle: Bundle, *ids: int) -> Feed:
    """One text."""
    ids_L = np.array(ids, dtype=np.int64)
    text = TextInput(text="", ids_L=ids_L, spans=(), truncated=False)
    return pack_batch([ModelInputs(text=text)], bundle.spec)


def text_score(outputs: list[np.ndarray]) -> float:
    return float(outputs[0][0, 0])


def test_an_answer_outlives_the_next_run_of_its_shape(bundle: Bundle, replaying: Graph) -> None:
    """Both are written to the same buffer."""
    first = replaying.run(NAMES, feed_of(bundle, 2, 3))
    second = replaying.run(NAMES, feed_of(bundle, 4, 5))

    assert text_score(first) == pytest.approx(0.5)
    assert text_score(second) == pytest.approx(0.9)


def test_runs_of_one_shape_with_other_outputs_are_kept_apart(bundle: Bundle, replaying: Graph) -> None:
    feed = feed_of(bundle, 2, 3)

    for names in (NAMES, NAMES[::-1], NAMES[:1], NAMES):
        found = replaying.run(names, feed)
        expected = Graph(bundle.model_path, device="cpu").run(names, feed)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_more_shapes_than_are_kept_are_answered_all_the_same(
    bundle: Bundle, replaying: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "MOST_REPLAYS", 1)

    for ids in ([1], [1, 1], [1, 1, 1], [2], [2, 2]):
        assert text_score(replaying.run(NAMES, feed_of(bundle, *ids))) == pytest.approx(sum(ids) / 10)


def test_several_threads_may_replay_at_once(bundle: Bundle, replaying: Graph) -> None:
    feeds = [feed_of(bundle, *ids) for ids in ([1], [2], [3, 4], [5, 1])]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: text_score(replaying.run(NAMES, feeds[i % 4])), range(80)))

    assert found == pytest.approx([0.1, 0.2, 0.7, 0.6] * 20)


def test_an_input_that_the_graph_refuses_is_refused_again_and_again(bundle: Bundle, replaying: Graph) -> None:
    wrong = {**feed_of(bundle, 2), "text_row": np.array([7], dtype=np.int64)}

    for _ in range(2):
        with pytest.raises(Exception, match="indices element out of data bounds"):
            replaying.run(NAMES, wrong)
    assert text_score(replaying.run(NAMES, feed_of(bundle, 2))) == pytest.approx(0.2)


def test_cuda_is_told_that_shapes_change_and_what_it_may_take() -> None:
    assert cuda_options(None) == {
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }
    assert cuda_options(1024)["gpu_mem_limit"] == "1073741824"
    assert cuda_options(None, "graphs")["enable_cuda_graph"] == "1"


@without_gpu
def test_cuda_that_cannot_be_had_is_refused_and_auto_goes_on_without(bundle: Bundle) -> None:
    with pytest.raises(DeviceError, match="CUDA was asked for but cannot be had"):
        Graph(bundle.model_path, device="cuda")
    assert Graph(bundle.model_path, device="auto").device == "cpu"


@without_gpu
@pytest.mark.parametrize("mode", ["graphs", "tensorrt"])
def test_how_a_gpu_shall_run_says_nothing_of_a_cpu(bundle: Bundle, mode: GpuMode) -> None:
    graph = Graph(bundle.model_path, device="auto", gpu_mode=mode)

    assert (graph.device, graph.replaying) == ("cpu", False)


@without_gpu
def test_tensorrt_that_cannot_be_had_is_refused(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "cuda_within_reach", lambda: True)

    with pytest.raises(DeviceError, match="TensorRT was asked for but cannot be had"):
        Graph(bundle.model_path, device="auto", gpu_mode="tensorrt")


def test_nothing_is_sent_or_kept_about_the_user(bundle: Bundle, tmp_path: Path) -> None:
    """ONNX Runtime's telemetry is on unless refused before its import; its files show it."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    load = "import sys, triad_serving.inference.runtime as s; s.onnxruntime.InferenceSession(sys.argv[1])"
    command = [sys.executable, "-c", load, str(bundle.model_path)]
    root = Path(__file__).parents[3]

    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, timeout=60)

    assert list(tmp_path.iterdir()) == []
