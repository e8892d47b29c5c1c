"""Several processes against one: the same losses and weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.triad_training.conftest import FIT, ROOT, fit_toy
from triad_serving.contract.errors import ConfigError
from triad_training.evaluation.history import read_history
from triad_training.layers import distributed
from triad_training.layers.distributed import Batches, first_of_all
from triad_training.learning.loop import BEST_FILE

# Seven steps of 9 or 10 rows, some without a medium or a label; every loss that depends on other rows.
OVERRIDES = (
    "data.cache=",
    "model.dropout=0",
    "optim.epochs=2",
    "optim.batch_size=10",
    "optim.alignment=0.3",
    "optim.contrast=0.2",
    "optim.task_weights=uncertainty",
    "optim.l1=1e-4",
    "tasks.kind.imbalance=weights",
    "tasks.tags.imbalance=focal",
)


def start(index: int, port: int, folder: Path) -> subprocess.Popen[str]:
    """One process of two, as torchrun starts it: its environment says which it is, and where the first is."""
    place = {"RANK": str(index), "LOCAL_RANK": str(index), "WORLD_SIZE": "2"}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", FIT, str(folder), "two", *OVERRIDES],
        env=os.environ | place | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_reach_the_losses_and_weights_of_one(toy_folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [start(index, port, toy_folder) for index in range(2)]
    expected = fit_toy(toy_folder, "one", *OVERRIDES)
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    one, two = (read_history(toy_folder / run) for run in ("one", "two"))
    assert [record.loss for record in two] == pytest.approx([record.loss for record in one], rel=1e-5)
    found = load_file(toy_folder / "two" / BEST_FILE)
    # Adam divides by a gradient's size: where that is noise, so is the step, of some 1e-2 altogether.
    assert all(torch.allclose(found[name], expected[name], atol=5e-3) for name in expected)


def test_the_steps_of_an_epoch_read_every_row_once_and_are_alike_in_size() -> None:
    batches = Batches(range(103), batch_size=25, seed=0)
    steps = list(batches)
    assert [len(step) for step in steps] == [21, 21, 21, 20, 20]
    assert len(batches) == 5
    assert sorted(row for step in steps for row in step) == list(range(103))
    assert list(batches) == steps
    batches.epoch = 1
    assert list(batches) != steps


def test_processes_share_the_rows_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(Batches(range(20), batch_size=7, seed=0))
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    parts = []
    for n in range(2):
        monkeypatch.setattr(distributed, "process_index", lambda n=n: n)
        parts.append(list(Batches(range(20), batch_size=7, seed=0)))
    for step, first, second in zip(whole, *parts, strict=True):
        assert (first, second) == (step[::2], step[1::2])


def test_a_step_too_small_for_all_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "process_count", lambda: 4)
    with pytest.raises(ConfigError, match="a step has 3 rows, too few for 4 processes"):
        Batches(range(30), batch_size=3, seed=0)


def test_the_first_flags_are_taken_up_to_a_share_of_all_rows() -> None:
    flags_B = torch.tensor([False, True, False, True, True, True, False, False])
    assert first_of_all(flags_B, 0.25).tolist() == [1, 3]
    assert first_of_all(flags_B, 0.01).tolist() == [1]
    assert first_of_all(flags_B, 1.0).tolist() == [1, 3, 4, 5]
    assert first_of_all(flags_B[:0], 0.5).tolist() == []


def test_rows_of_a_step_are_alike_where_sizes_are_known_and_each_is_read_once() -> None:
    sizes = np.random.default_rng(0).integers(1, 100, 320).tolist()
    plain, alike = (Batches(range(320), batch_size=8, seed=0, sizes=each) for each in (None, sizes))

    def padded(batches: Batches) -> int:
        return sum(len(rows) * max(sizes[row] for row in rows) for rows in batches)

    assert sorted(row for rows in alike for row in rows) == list(range(320))
    assert padded(alike) < 0.8 * padded(plain)
    lengths = [max(sizes[row] for row in rows) for rows in alike]
    assert lengths != sorted(lengths)  # not from short to long
    first = list(alike)
    alike.epoch = 1
    assert list(alike) != first
