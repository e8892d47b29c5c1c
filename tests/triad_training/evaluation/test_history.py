"""What the loop writes down of each epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_serving.contract.errors import ConfigError
from triad_training.evaluation.history import (
    HISTORY_FILE,
    EpochRecord,
    Stopwatch,
    read_history,
    write_history,
)


def record(epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch, loss=1 / epoch, validation=0.5, learning_rate=1e-3, seconds=2.0, data_share=0.1
    )


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert read_history(tmp_path) == ()
    write_history(tmp_path, [record(1)])
    write_history(tmp_path, [record(1), record(2)])
    assert read_history(tmp_path) == (record(1), record(2))
    assert [file.name for file in tmp_path.iterdir()] == [HISTORY_FILE]


@pytest.mark.parametrize("text", ["", "[{}]", "7"])
def test_a_broken_history_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / HISTORY_FILE).write_text(text)
    with pytest.raises(ConfigError, match=r"history\.json cannot be read"):
        read_history(tmp_path)


def test_the_share_of_time_spent_waiting_is_that_of_the_loader() -> None:
    def loader() -> Iterator[int]:
        for i in range(3):
            time.sleep(0.02)
            yield i

    watch = Stopwatch()
    for _ in watch.watch(loader()):
        time.sleep(0.06)
    assert watch.data_share == pytest.approx(0.25, abs=0.08)
    assert watch.seconds >= 0.24
    assert Stopwatch().data_share == 0
