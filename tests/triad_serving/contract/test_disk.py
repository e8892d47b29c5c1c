"""Nothing half-written stays, and what the disk refuses is one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from triad_serving.contract.disk import require_writable, writing
from triad_serving.contract.errors import DiskError


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_what_could_not_be_written_whole_is_removed(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "made"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_half() -> None:
        with writing(path):
            if folder:
                path.mkdir()
            (path / "part" if folder else path).write_bytes(b"half")
            raise full

    with pytest.raises(DiskError, match=r"Writing to .* failed: No space left on device\.") as caught:
        write_half()
    assert caught.value.__cause__ is full
    assert not path.exists()


def test_another_error_stays_what_it_is_and_leaves_nothing_either(tmp_path: Path) -> None:
    def write_half() -> None:
        with writing(tmp_path / "made"):
            (tmp_path / "made").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_stays(tmp_path: Path) -> None:
    with writing(tmp_path / "made"):
        (tmp_path / "made").write_bytes(b"whole")
    assert (tmp_path / "made").read_bytes() == b"whole"


def test_a_folder_that_could_be_made_is_writable_and_not_made(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"")
    with pytest.raises(DiskError, match="models is a file; a folder is needed there"):
        require_writable(tmp_path / "models" / "toy")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DiskError, match="may not be written to"):
            require_writable(tmp_path / "models")
    finally:
        tmp_path.chmod(0o700)
