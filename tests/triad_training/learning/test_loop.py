"""The loop against what can stop it: a full disk, a file that goes away, patience."""

from __future__ import annotations

import math
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import triad_training.learning.loop as fitting
from tests.triad_training.conftest import FIT, ROOT, fit_toy
from triad_serving.contract.errors import DiskError, TableError
from triad_training.config.reading import load_config
from triad_training.evaluation.history import read_history
from triad_training.layers.distributed import Batches
from triad_training.learning.loop import RunState, averaging
from triad_training.learning.prepare import prepare


def run(toy_folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    return fit_toy(toy_folder, "run", "data.cache=", "optim.epochs=1", *overrides)


@contextmanager
def full_disk() -> Iterator[None]:
    """What a full disk looks like to whoever writes, pytest included: no file grows beyond 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(toy_folder, "optim.epochs=2")
    real = fitting.validate
    with ExitStack() as disk:
        epochs = iter([nullcontext(), full_disk()])
        monkeypatch.setattr(
            fitting, "validate", lambda *given: (disk.enter_context(next(epochs)), real(*given))[1]
        )
        with pytest.raises(DiskError, match=r"Writing to .*run failed: .* MiB free on the device"):
            run(toy_folder, "optim.epochs=2")
    assert not [path for path in (toy_folder / "run").iterdir() if "partial" in path.name]
    monkeypatch.undo()
    resumed = run(toy_folder, "optim.epochs=2", "optim.resume=true")
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_a_full_disk_is_noticed_before_the_first_epoch(toy_folder: Path) -> None:
    with full_disk(), pytest.raises(DiskError, match=r"Writing to .*run failed"):
        run(toy_folder)
    assert list((toy_folder / "run").iterdir()) == []


def test_a_killed_run_goes_on_and_ends_as_one_left_alone(toy_folder: Path) -> None:
    """SIGKILL in the middle of the second epoch."""
    expected = run(toy_folder, "optim.epochs=2")
    kill_at = """
import os, signal
import triad_training.learning.loop as fitting
steps, real = iter(range(1000)), fitting.average_gradients
fitting.average_gradients = lambda p: real(p) if next(steps) < 6 else os.kill(os.getpid(), signal.SIGKILL)
"""
    overrides = ("data.cache=", "optim.epochs=2")
    command = [sys.executable, "-c", kill_at + FIT, str(toy_folder), "cut", *overrides]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(read_history(toy_folder / "cut")) == 1
    resumed = fit_toy(toy_folder, "cut", *overrides, "optim.resume=true")
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_a_run_that_lost_patience_is_not_trained_on(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.9, 0.8, 0.7])
    monkeypatch.setattr(fitting, "validate", lambda *_: next(scores))
    patient = ("optim.epochs=9", "optim.patience=1")
    expected = run(toy_folder, *patient)
    resumed = run(toy_folder, *patient, "optim.resume=true")
    assert [record.validation for record in read_history(toy_folder / "run")] == [0.9, 0.8]
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_the_first_epoch_is_the_best_so_far_whatever_its_score() -> None:
    state = RunState()
    assert state.take(-math.inf)
    assert not state.take(-math.inf)
    assert state.take(0.0)


def test_a_file_that_goes_away_in_training_is_named_by_the_worker_that_wanted_it(toy_folder: Path) -> None:
    config = load_config(toy_folder / "config.toml", ["data.cache=", "optim.workers=1"])
    prepared = prepare(config)
    path = prepared.train.examples[0].image
    assert path is not None
    path.unlink()
    with pytest.raises(TableError) as caught:
        list(fitting._train_loader(prepared, Batches(prepared.train, batch_size=8, seed=0)))
    assert caught.value.problems == (f"image: {path}: No such file or directory",)


def test_averages_of_weights_leave_whole_numbers_whole() -> None:
    """torch's own average of a table of indices falls by one wherever rounding is downwards."""
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.zeros(()))
    module.register_buffer("rows", torch.arange(60_000))
    averaged = AveragedModel(module, multi_avg_fn=averaging(0.98), use_buffers=True)
    averaged.update_parameters(module)
    module.weight.data += 1
    for _ in range(3):
        averaged.update_parameters(module)
    assert torch.equal(averaged.module.rows, torch.arange(60_000))
    assert averaged.module.weight.item() == pytest.approx(1 - 0.98**3, abs=1e-6)
