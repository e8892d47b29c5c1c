"""Where each of several workers counts: a file that the others read, safe from a disk that fills up."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

COUNTS_BYTES = 2**18  # of each kind of metric and worker: some thousand values


class ReservedCounts(MmapedDict):
    """A file whose blocks are taken at once, else memory of this process alone.

    prometheus_client writes through a memory map into a file of holes. Where the disk is full by then, the
    kernel ends the process (SIGBUS), and every one that replaces it.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode and not _reserve(Path(filename)):
            logger.error("No space for %s: /metrics goes without what this worker counts.", filename)
            filename = f"/proc/self/fd/{os.memfd_create('triad-counts')}"
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


def reserve_counts() -> None:
    """For every count of this process and of its copies from now on, on Linux."""
    if hasattr(os, "memfd_create"):
        values.MmapedDict = ReservedCounts  # type: ignore[attr-defined]  # the name by which it makes them


def _reserve(path: Path) -> bool:
    """Whether there is room."""
    try:
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, COUNTS_BYTES)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        path.unlink()
        return False
    return True
