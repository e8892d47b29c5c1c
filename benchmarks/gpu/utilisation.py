"""How busy the GPU is while something runs, as nvidia-smi counts it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable
from typing import TypeVar

INTERVAL_MS = 100
QUERY = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--loop-ms={INTERVAL_MS}")

Result = TypeVar("Result")


def watch(run: Callable[[], Result]) -> tuple[Result, float | None]:
    """The result, and the mean share of time in which a kernel ran; None without nvidia-smi or a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return run(), None
    watcher = subprocess.Popen([program, *QUERY], stdout=subprocess.PIPE, text=True)
    try:
        result = run()
    finally:
        watcher.terminate()
        output, _ = watcher.communicate()
    return result, mean_share(output)


def mean_share(output: str) -> float | None:
    """Of nvidia-smi's lines, per cent each; None where there is none."""
    shares = [int(line) / 100 for line in output.splitlines() if line.strip().isdecimal()]
    return statistics.mean(shares) if shares else None
