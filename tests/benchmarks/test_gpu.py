from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu import record as record_module
from benchmarks.gpu.__main__ import Plan, markdown, run_all
from benchmarks.gpu.agreement import compare_engines, compare_sessions, difference
from benchmarks.gpu.contenders import (
    BARE,
    SESSION,
    MissingError,
    Model,
    contenders,
    items_per_s,
    make_batch,
    megabytes,
    open_session,
)
from benchmarks.gpu.record import Record, run_step
from benchmarks.gpu.steps import STEPS, memory, placement, speed, versions
from benchmarks.gpu.utilisation import mean_share, watch
from triad_serving.contract.device import GpuMode
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.session import EVERYTHING
from triad_serving.settings import Settings


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
    found = contenders(Model(bundle, "cpu", gpu_mode), make_batch(bundle, 2, sound_s=0.1))
    for name in ("copy to the device", BARE, SESSION):
        assert items_per_s(found[name](), 2, seconds=0.01, rounds=1) > 0
    with pytest.raises(MissingError, match="holds no weights"):
        found["PyTorch"]()


def test_what_cannot_run_is_named_and_the_others_are_measured(tiny_bundle: Path) -> None:
    only = [SESSION, "PyTorch"]
    found = speed(
        path=str(tiny_bundle),
        device="cpu",
        gpu_mode="kernels",
        only=only,
        sizes=[1, 3],
        seconds=0.01,
        sound_s=0.1,
    )
    assert found["items_per_s"].keys() == {SESSION}
    assert found["items_per_s"][SESSION].keys() == {"1", "3"}
    assert "holds no weights" in found["missing"]["PyTorch"]


def test_sessions_that_agree_and_one_that_does_not(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    session, examples = open_session(bundle, "cpu"), make_batch(bundle, 2, sound_s=0.1)
    found = compare_sessions(open_session(bundle, "cpu", "graphs"), session, examples, [3, 5])
    assert max(found.values()) < 1e-6
    assert {"text+audio as a batch", "a batch of 5", "neighbours", "four threads at once"} <= found.keys()

    [outputs] = session.run([examples[0]], EVERYTHING)
    off = {task: logits + 0.5 for task, logits in outputs.logits_K.items()}
    assert difference(dataclasses.replace(outputs, logits_K=off), outputs) > 0.1
    lost = {task: logits * np.float32("nan") for task, logits in outputs.logits_K.items()}
    assert np.isnan(difference(dataclasses.replace(outputs, logits_K=lost), outputs))


def test_engines_are_compared_by_whole_requests(tiny_bundle: Path) -> None:
    settings = Settings(models=tiny_bundle, device="cpu")
    with Engine.open(tiny_bundle, settings) as one, Engine.open(tiny_bundle, settings) as two:
        found = compare_engines(one, two, requests=9, sound_s=0.1)
    assert (found["answered"], found["precision"], found["probability"]) == (9, "single", 0.0)
    assert float(found["Shapley values do not sum up by"]) < 1e-3


def test_every_node_is_counted_where_it_ran(tiny_bundle: Path) -> None:
    found = placement(path=str(tiny_bundle), device="cpu", sound_s=0.1)
    assert found["nodes"].keys() == {"CPUExecutionProvider"}
    assert found["nodes"]["CPUExecutionProvider"] > 5
    assert (found["memcpy"], found["on the CPU"]) == (0, {})


def test_a_cap_on_memory_says_nothing_of_a_cpu(tiny_bundle: Path) -> None:
    assert memory(path=str(tiny_bundle), device="cpu") == {"1024 MiB": "ran", "1 MiB": "ran"}


def test_the_first_step_says_where_a_session_is() -> None:
    found = versions(device="cpu")
    assert found["session"] == "cpu"
    assert "CPUExecutionProvider" in found["providers"]


def test_a_failed_step_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    record = Record(tmp_path / "gpu.json", about={"device": "cpu"}, limit_s=100)
    assert record.step("lost", "bundle", 60, name="none", folder=str(tmp_path)) is None
    found = record.step("shipped", "bundle", 60, name="digits", folder=str(tmp_path))
    assert found is not None
    assert Path(found["path"]).is_dir()
    steps = json.loads((tmp_path / "gpu.json").read_text())["steps"]
    assert "KeyError: 'none'" in steps["lost"]["error"]
    assert steps["shipped"]["found"] == found


def test_a_step_that_hangs_is_ended() -> None:
    found = run_step("bundle", {"name": "digits", "folder": ""}, 0.01)
    assert found["error"].endswith("It took longer than 0 s.")


def test_without_time_left_a_step_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "run_step", lambda *_: pytest.fail("it ran"))
    record = Record(tmp_path / "gpu.json", about={}, limit_s=1)
    assert record.step("late", "versions", 60, device="cpu") is None
    assert record.steps["late"] == {"skipped": "No time left of 1 s."}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_step_is_asked_for_as_it_wants_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    asked: list[str] = []

    def answer(name: str, arguments: dict[str, object], most_s: float) -> dict[str, object]:
        inspect.signature(STEPS[name]).bind(**arguments)
        asked.append(name)
        return {"found": {"path": "models/made/1"}}

    monkeypatch.setattr(record_module, "run_step", answer)
    record = Record(tmp_path / "gpu.json", about={"machine": "", "device": device}, limit_s=100)
    plan = Plan(
        device=device,
        models=("digits", "large"),
        modes=("kernels", "graphs"),
        sizes=(1, 4),
        seconds=0.1,
        serve_seconds=1,
        concurrency=4,
        workers=(1, 2),
        rows=128,
        table=None,
    )
    run_all(record, plan, str(tmp_path))
    assert set(asked) == STEPS.keys()
    assert "error" not in str(record.steps)


def test_the_service_is_compared_with_the_best_batch_of_the_bare_graph() -> None:
    rates = {BARE: {"1": 100.0, "8": 400.0}, SESSION: {"1": 90.0}}
    served = {"rps": 300.0, "p50_ms": 1.0, "p99_ms": 2.0, "errors": 0, "refused": 1, "gpu": 0.875}
    agreed = {"agrees": False, "limit": 1e-3, "differences": {"a batch of 2": 0.5, "neighbours": "nan"}}
    steps = {
        "digits: speed, kernels": {
            "found": {
                "items_per_s": rates,
                "megabytes": {"1": 0.5, "8": 4.0},
                "missing": {"PyTorch": "no weights"},
            }
        },
        "digits: served by 2": {"found": served},
        "digits: agrees with the CPU, graphs": {"found": agreed},
        "large: bundle": {"error": "No module named 'onnx'"},
        "training on the GPU, bf16": {"skipped": "There is no GPU."},
    }
    page = markdown({"machine": "A machine.", "device": "cpu", "steps": steps})
    assert "nothing of this says how fast a GPU is" in page
    assert "| digits | kernels | 1 |  | 100 |  | 90 |  |" in page
    assert "| digits | kernels | 8 |  | 400 |  |  |  |" in page
    assert "| digits | 2 | 300 | 0.75 | 1.0 | 2.0 | 1 | 88% |" in page
    assert "DISAGREES" in page
    assert "- large: bundle: FAILED: No module named 'onnx'" in page
    assert "- digits: speed, kernels: PyTorch: no weights" in page
    assert "- training on the GPU, bf16: skipped: There is no GPU." in page


def test_utilisation_is_the_mean_of_what_was_printed() -> None:
    assert mean_share("90\n80\n[N/A]\n100\n") == pytest.approx(0.9)
    assert mean_share("") is None


def test_without_nvidia_smi_the_work_is_done_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert watch(lambda: 7) == (7, None)
