"""usearch alone: processes that map its file, each asking one query after another.

Shape letters: Q queries, D numbers of a vector.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.search.vectors import WIDTH_SEARCHING, load_usearch

K = 10


def ask_directly(file: Path, queries_QD: F32, seconds: float, processes: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        asked = [(n, file, queries_QD, seconds) for n in range(processes)]
        times_s = np.concatenate(pool.starmap(_ask, asked, chunksize=1))
    p50_ms, p99_ms = np.percentile(1000 * times_s, [50, 99])
    return {
        "processes": processes,
        "per_s": round(len(times_s) / seconds, 1),
        "p50_ms": round(float(p50_ms), 3),
        "p99_ms": round(float(p99_ms), 3),
    }


def _ask(number: int, file: Path, queries_QD: F32, seconds: float) -> list[float]:
    """Seconds of each query."""
    graph = load_usearch().Index.restore(file, view=True)
    graph.expansion_search = WIDTH_SEARCHING
    for query_D in queries_QD:  # until it is in memory
        graph.search(query_D, K, threads=1)
    times_s: list[float] = []
    end_s = time.perf_counter() + seconds
    while (started_s := time.perf_counter()) < end_s:
        graph.search(queries_QD[(number + len(times_s)) % len(queries_QD)], K, threads=1)
        times_s.append(time.perf_counter() - started_s)
    return times_s
