"""Runs to results: medians over the rounds, in the shape of results/serving.json."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.serving.limit import Loop, Topology
from benchmarks.serving.load import Load
from benchmarks.serving.machine import Machine

Media = Literal["all", "text"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One server under one load.

    rps: answered with 2xx, each second. cpu_ms: of all the server's processes, per such answer. errors: any
    other status but 503, and no answer at all. refused: 503.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    memory_mb: float
    errors: int
    refused: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One round's measurement of a server at one concurrency."""

    server: str
    media: Media
    concurrency: int
    measured: Measured


@dataclass(kw_only=True)
class Collected:
    """What the rounds have brought so far. failed: why a server is missing, or was in one of the rounds."""

    runs: list[Run] = field(default_factory=list)
    start_s: dict[str, list[float]] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """servers, text_only: by name, then by concurrency. loops: medians, one of each topology."""

    machine: Machine
    bundle: str
    settings: Mapping[str, float]
    loops: Sequence[Loop]
    start_s: Mapping[str, float]
    servers: Mapping[str, Mapping[int, Measured]]
    text_only: Mapping[str, Mapping[int, Measured]]
    failed: Mapping[str, str]

    @property
    def limit(self) -> Loop:
        """The fastest bare loop in as many processes as there are workers."""
        processes = max(loop.topology.processes for loop in self.loops)
        of_all = [loop for loop in self.loops if loop.topology.processes == processes]
        return max(of_all, key=lambda loop: loop.rps)

    @property
    def single(self) -> Loop:
        """One process, one thread, one request at a time: no answer can come sooner."""
        return next(loop for loop in self.loops if loop.topology == Topology(processes=1, threads=1, batch=1))

    def document(self) -> dict[str, Any]:
        limit, single = self.limit, self.single
        return {
            "machine": dataclasses.asdict(self.machine),
            "bundle": self.bundle,
            "settings": dict(self.settings),
            "limit": {
                "rps": _rounded(limit.rps),
                "cpu_ms": _rounded(limit.cpu_ms),
                "of": limit.topology.name,
                "single_p50_ms": _rounded(single.p50_ms),
                "single_p99_ms": _rounded(single.p99_ms),
                "loops": {loop.topology.name: _fields(loop, leaving_out="topology") for loop in self.loops},
            },
            "start_s": {name: _rounded(seconds) for name, seconds in self.start_s.items()},
            "servers": _by_concurrency(self.servers),
            "text_only": _by_concurrency(self.text_only),
            "failed": dict(self.failed),
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.document(), indent=2, ensure_ascii=False)
        path.write_text(f"{text}\n", encoding="utf-8")


def measure(load: Load, *, cpu_s: float, memory_mb: float) -> Measured:
    """cpu_s: what the server used while the load ran."""
    return Measured(
        rps=load.ok / load.seconds,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_ms=1000 * cpu_s / max(load.ok, 1),
        memory_mb=memory_mb,
        errors=load.failed + load.lost,
        refused=load.refused,
    )


def summarise(
    collected: Collected, *, machine: Machine, bundle: str, settings: Mapping[str, float]
) -> Results:
    return Results(
        machine=machine,
        bundle=bundle,
        settings=settings,
        loops=_median_loops(collected.loops),
        start_s={name: statistics.median(seconds) for name, seconds in collected.start_s.items()},
        servers=_medians(run for run in collected.runs if run.media == "all"),
        text_only=_medians(run for run in collected.runs if run.media == "text"),
        failed=collected.failed,
    )


def _medians(runs: Iterable[Run]) -> dict[str, dict[int, Measured]]:
    """Median of each number on its own; errors and refusals are summed, so that none is lost."""
    rounds: dict[str, dict[int, list[Measured]]] = {}
    for run in runs:
        rounds.setdefault(run.server, {}).setdefault(run.concurrency, []).append(run.measured)
    return {
        name: {concurrency: _median(each) for concurrency, each in by.items()} for name, by in rounds.items()
    }


def _median(rounds: Sequence[Measured]) -> Measured:
    return Measured(
        rps=statistics.median(each.rps for each in rounds),
        p50_ms=statistics.median(each.p50_ms for each in rounds),
        p99_ms=statistics.median(each.p99_ms for each in rounds),
        cpu_ms=statistics.median(each.cpu_ms for each in rounds),
        memory_mb=statistics.median(each.memory_mb for each in rounds),
        errors=sum(each.errors for each in rounds),
        refused=sum(each.refused for each in rounds),
    )


def _median_loops(loops: Sequence[Loop]) -> list[Loop]:
    rounds: dict[Topology, list[Loop]] = {}
    for loop in loops:
        rounds.setdefault(loop.topology, []).append(loop)
    return [
        Loop(
            topology=topology,
            rps=statistics.median(loop.rps for loop in each),
            cpu_ms=statistics.median(loop.cpu_ms for loop in each),
            p50_ms=statistics.median(loop.p50_ms for loop in each),
            p99_ms=statistics.median(loop.p99_ms for loop in each),
        )
        for topology, each in rounds.items()
    ]


def _by_concurrency(servers: Mapping[str, Mapping[int, Measured]]) -> dict[str, dict[str, Any]]:
    return {
        name: {str(concurrency): _fields(measured) for concurrency, measured in by.items()}
        for name, by in servers.items()
    }


def _fields(record: Measured | Loop, *, leaving_out: str = "") -> dict[str, Any]:
    fields = {name: value for name, value in dataclasses.asdict(record).items() if name != leaving_out}
    return {name: _rounded(value) if isinstance(value, float) else value for name, value in fields.items()}


def _rounded(value: float) -> float:
    """Four digits are more than any run repeats."""
    return float(f"{value:.4g}")
