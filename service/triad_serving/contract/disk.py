"""Disk: what it refuses becomes one sentence, and nothing half-written stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triad_serving.contract.errors import DiskError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within, `path` is written, a file or a folder; whatever ends that too early, it is removed again.

    Raises DiskError where the disk is full or the folder may not be written.
    """
    try:
        yield
    except BaseException as error:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink()
        if isinstance(error, OSError):
            raise DiskError(f"Writing to {path.parent} failed: {error.strerror or error}.") from error
        raise


def require_writable(folder: Path) -> None:
    """Raises DiskError where `folder` cannot be made or written. Makes nothing."""
    existing = next(ancestor for ancestor in (folder, *folder.absolute().parents) if ancestor.exists())
    if not existing.is_dir():
        raise DiskError(f"{existing} is a file; a folder is needed there.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DiskError(f"{existing} may not be written to.")
