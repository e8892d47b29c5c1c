"""Counts of several workers on a disk with and without space."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from triad_serving.http.counts import COUNTS_BYTES, ReservedCounts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are reserved on Linux")


def test_the_file_has_its_blocks_before_anything_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    counts = ReservedCounts(str(path))
    counts.write_value("asked", 7.0, 0.0)
    assert path.stat().st_blocks * 512 >= COUNTS_BYTES
    counts.close()
    assert [value[:2] for value in MmapedDict.read_all_values_from_file(str(path))] == [("asked", 7.0)]


def test_without_space_a_worker_counts_for_itself_and_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    counts = ReservedCounts(str(tmp_path / "counter_1.db"))
    counts.write_value("asked", 7.0, 0.0)
    assert counts.read_value("asked") == (7.0, 0.0)
    assert list(tmp_path.iterdir()) == []  # the others' reader would stumble over an empty file
    assert "No space for" in caplog.text
    counts.close()
