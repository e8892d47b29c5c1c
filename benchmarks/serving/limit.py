"""The limit: the same bytes through decoding, preprocessing, the graph and the answer's JSON in a bare loop.

Nothing of HTTP is in it: no server that answers the same can be faster than this on the same cores.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.pipeline import Pipeline
from triad_serving.media.example import RawInputs

START_LIMIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Topology:
    """How many processes loop, with how many threads each, over batches of how many requests."""

    processes: int
    threads: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.processes} x {self.threads}, batch {self.batch}"


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One run of one topology. p50_ms and p99_ms: of one turn, a whole batch."""

    topology: Topology
    rps: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What every process is told."""

    bundle: Path
    examples: Sequence[RawInputs]
    topology: Topology
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one process did."""

    requests: int
    seconds: float
    cpu_s: float
    turns_s: list[float]


def topologies(workers: int, batches: Sequence[int]) -> list[Topology]:
    """One loop; as many processes as workers; as many threads: each with every batch size."""
    shapes = dict.fromkeys([(1, 1), (workers, 1), (1, workers)])
    return [
        Topology(processes=processes, threads=threads, batch=batch)
        for processes, threads in shapes
        for batch in batches
    ]


def run_loop(bundle: Path, examples: Sequence[RawInputs], topology: Topology, seconds: float) -> Loop:
    """In fresh processes, which start to count together once all of them are warm."""
    work = _Work(bundle=bundle, examples=examples, topology=topology, seconds=seconds)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(topology.processes)
    pipes, processes = [], []
    for _ in range(topology.processes):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_loop_in_process, args=(work, barrier, theirs))
        process.start()
        theirs.close()  # so that the end of the process ends our wait
        pipes.append(ours)
        processes.append(process)
    parts: list[_Part] = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    return _summed(topology, parts)


def _summed(topology: Topology, parts: Sequence[_Part]) -> Loop:
    requests = sum(part.requests for part in parts)
    turns_ms = sorted(1000 * turn_s for part in parts for turn_s in part.turns_s)
    return Loop(
        topology=topology,
        rps=requests / max(part.seconds for part in parts),
        cpu_ms=1000 * sum(part.cpu_s for part in parts) / requests,
        p50_ms=statistics.median(turns_ms),
        p99_ms=turns_ms[int(0.99 * (len(turns_ms) - 1))],
    )


def _loop_in_process(work: _Work, barrier: Barrier, result: Connection) -> None:
    pipeline = Pipeline(work.bundle)
    for batch in _batches(work, offset=0, count=len(work.examples)):
        _answer(pipeline, batch)
    barrier.wait(START_LIMIT_S)
    turns_s: list[list[float]] = [[] for _ in range(work.topology.threads)]
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    threads = [
        threading.Thread(target=_loop, args=(pipeline, work, n, turns_s[n]))
        for n in range(work.topology.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every_turn_s = list(itertools.chain.from_iterable(turns_s))
    result.send(
        _Part(
            requests=work.topology.batch * len(every_turn_s),
            seconds=time.perf_counter() - started_s,
            cpu_s=time.process_time() - started_cpu_s,
            turns_s=every_turn_s,
        )
    )


def _loop(pipeline: Pipeline, work: _Work, offset: int, turns_s: list[float]) -> None:
    """Appends the seconds of every turn; at least one, however late its thread began."""
    ended_s = time.perf_counter()
    end_s = ended_s + work.seconds
    for batch in _batches(work, offset=offset):
        started_s = ended_s
        _answer(pipeline, batch)
        ended_s = time.perf_counter()
        turns_s.append(ended_s - started_s)
        if ended_s >= end_s:
            return


def _answer(pipeline: Pipeline, batch: Sequence[RawInputs]) -> list[str]:
    inputs = [pipeline.prepare(raw) for raw in batch]
    return [pipeline.answer(*each) for each in zip(inputs, pipeline.run(inputs), strict=True)]


def _batches(work: _Work, *, offset: int, count: int | None = None) -> Iterator[tuple[RawInputs, ...]]:
    """Examples in turn, from `offset` on; count: how many batches, by default without end."""
    turning = itertools.islice(itertools.cycle(work.examples), offset, None)
    return itertools.islice(zip(*[turning] * work.topology.batch, strict=False), count)
