"""The load generator: wrk (wg/wrk 4.1 or newer, package `wrk` of Debian), driven by rotate.lua; or Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.python_load import count_answers, percentiles_ms

SCRIPT = Path(__file__).with_name("rotate.lua")
TIMEOUT_S = 60  # of one request; wrk counts a slower one as lost
CORES_PER_THREAD = 4  # one of wrk's threads sends some 10,000 such requests a second


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came back in one run.

    ok: 2xx. refused: 503. failed: any other status. lost: no answer. p50_ms and p99_ms: of all answers, but
    of the 2xx alone where some were refused and the server echoes X-Request-ID.
    """

    seconds: float
    ok: int
    refused: int
    failed: int
    lost: int
    p50_ms: float
    p99_ms: float


class LoadError(Exception):
    """wrk is not there, or ended without an answer."""


def drive(requests: Sequence[Path], *, port: int, concurrency: int, seconds: float) -> Load:
    """By wrk, or without it by Python, which takes more of the machine. Raises LoadError."""
    if shutil.which("wrk") is None:
        return _drive_by_python(requests, port, concurrency, seconds)
    load = start(requests, port=port, concurrency=concurrency, seconds=seconds)
    return finish(load)


def _drive_by_python(requests: Sequence[Path], port: int, concurrency: int, seconds: float) -> Load:
    bodies = [path.read_bytes() for path in requests]
    counted = count_answers(bodies, port=port, concurrency=concurrency, seconds=seconds, timeout_s=TIMEOUT_S)
    p50_ms, p99_ms = percentiles_ms(counted.ok_s)
    return Load(
        seconds=seconds,
        ok=len(counted.ok_s),
        refused=counted.refused,
        failed=counted.failed,
        lost=counted.lost,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )


def start(requests: Sequence[Path], *, port: int, concurrency: int, seconds: float) -> subprocess.Popen[str]:
    """Raises LoadError. seconds are rounded up to whole ones, which is what wrk takes."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadError("wrk is not installed: apt-get install wrk (or your system's package of it).")
    threads = min(concurrency, max((os.cpu_count() or 1) // CORES_PER_THREAD, 1))
    command = [wrk, "--threads", str(threads), "--connections", str(concurrency)]
    command += ["--duration", f"{max(-int(-seconds // 1), 1)}s", "--timeout", f"{TIMEOUT_S}s"]
    command += ["--script", str(SCRIPT), f"http://127.0.0.1:{port}", "--", *map(str, requests)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(load: subprocess.Popen[str]) -> Load:
    """Waits for its end. Raises LoadError."""
    output, _ = load.communicate()
    if load.returncode != 0:
        raise LoadError(f"wrk ended with {load.returncode}: {output.strip()[-500:]}")
    return parse_output(output)


def parse_output(output: str) -> Load:
    """The line of JSON that rotate.lua prints behind wrk's own report. Raises LoadError without one."""
    line = next((line for line in reversed(output.splitlines()) if line.startswith("{")), None)
    if line is None:
        raise LoadError(f"wrk printed no result: {output.strip()[-500:]}")
    return Load(**json.loads(line))
