"""What a service takes: its memory, and the time until it was ready, as Linux tells them."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def describe_start(processes: Sequence[int]) -> str:
    """A few words; none where the system does not tell.

    Memory that processes share counts once. Sources: proc_pid_stat(5), field 22; proc_pid_smaps(5), Pss.
    """
    if sys.platform != "linux":
        return ""
    try:
        memory_kib = sum(_memory_kib(pid) for pid in processes)
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:  # a sandbox without them
        return ""
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    count = len(processes)
    return (
        f"{count} process{'es' * (count > 1)}, {memory_kib / 1024:.0f} MiB, {seconds:.1f} s after the start"
    )


def _memory_kib(pid: int) -> int:
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8"), re.MULTILINE)
    return int(found[1]) if found else 0
