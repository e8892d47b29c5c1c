from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.media import make_texts
from benchmarks.serving.limit import Topology, run_loop


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 2), (1, 2, 1)])
def test_a_bare_loop_counts_whole_batches(tiny_bundle: Path, shape: tuple[int, int, int]) -> None:
    processes, threads, batch = shape
    topology = Topology(processes=processes, threads=threads, batch=batch)
    loop = run_loop(tiny_bundle, make_texts(), topology, seconds=0.05)
    assert loop.topology == topology
    assert loop.rps > 0
    assert loop.cpu_ms > 0
    assert loop.p50_ms <= loop.p99_ms
