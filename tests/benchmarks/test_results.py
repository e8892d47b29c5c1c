from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.serving.limit import Loop, Topology, topologies
from benchmarks.serving.load import Load
from benchmarks.serving.machine import Machine
from benchmarks.serving.results import Collected, Measured, Media, Results, Run, measure, summarise

MACHINE = Machine(
    cpu="a CPU",
    cores=4,
    usable=2,
    memory_gib=24.0,
    system="Linux x86_64",
    python="3.11.7",
    packages={},
    load=0.1,
)
FIELDS = {"rps", "p50_ms", "p99_ms", "cpu_ms", "memory_mb", "errors", "refused"}


def measured(rps: float, *, errors: int = 0, refused: int = 0) -> Measured:
    return Measured(
        rps=rps,
        p50_ms=1000 / rps,
        p99_ms=2000 / rps,
        cpu_ms=4.0,
        memory_mb=200.0,
        errors=errors,
        refused=refused,
    )


def run(server: str, concurrency: int, rps: float, *, media: Media = "all", errors: int = 0) -> Run:
    return Run(
        server=server, media=media, concurrency=concurrency, measured=measured(rps, errors=errors, refused=2)
    )


def loop(processes: int, threads: int, batch: int, rps: float) -> Loop:
    topology = Topology(processes=processes, threads=threads, batch=batch)
    return Loop(topology=topology, rps=rps, cpu_ms=3.0, p50_ms=3.5, p99_ms=4.5)


@pytest.fixture
def results() -> Results:
    """Three rounds of one server, one of which another did not survive."""
    collected = Collected(
        runs=[
            run("triad", 1, 90.0),
            run("triad", 1, 100.0, errors=3),
            run("triad", 1, 500.0, errors=1),
            run("triad", 32, 400.0),
            run("triad", 8, 900.0, media="text"),
            run("mosec", 32, 300.0),
        ],
        start_s={"triad": [2.0, 1.0, 1.5], "mosec": [3.0]},
        loops=[
            loop(1, 1, 1, 240.0),
            loop(1, 1, 1, 260.0),
            loop(2, 1, 1, 480.0),
            loop(2, 1, 8, 500.0),
            loop(1, 2, 8, 510.0),
        ],
        failed={"mlserver": "ERROR: something\nERROR: no such package"},
    )
    return summarise(collected, machine=MACHINE, bundle="digits/1", settings={"rounds": 3, "seconds": 5.0})


def test_numbers_are_medians_and_errors_are_summed(results: Results) -> None:
    found = results.servers["triad"][1]
    assert found.rps == 100.0
    assert found.errors == 4
    assert found.refused == 6
    assert results.start_s["triad"] == 1.5
    assert results.single.rps == 250.0


def test_the_limit_is_the_fastest_loop_in_as_many_processes_as_workers(results: Results) -> None:
    assert results.limit.rps == 500.0
    assert results.limit.topology == Topology(processes=2, threads=1, batch=8)


def test_the_file_has_the_shape_that_readers_rely_on(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "made" / "serving.json")
    document = json.loads((tmp_path / "made" / "serving.json").read_text(encoding="utf-8"))
    assert document["machine"]["cpu"] == "a CPU"
    assert document["limit"]["rps"] == 500.0
    assert document["limit"]["single_p50_ms"] == 3.5
    assert set(document["limit"]["loops"]) == {
        "1 x 1, batch 1",
        "2 x 1, batch 1",
        "2 x 1, batch 8",
        "1 x 2, batch 8",
    }
    assert list(document["servers"]["triad"]) == ["1", "32"]
    assert set(document["servers"]["triad"]["32"]) == FIELDS
    assert document["servers"]["mosec"]["32"]["rps"] == 300.0
    assert document["text_only"]["triad"]["8"]["rps"] == 900.0
    assert document["start_s"] == {"triad": 1.5, "mosec": 3.0}
    assert document["failed"]["mlserver"].endswith("no such package")


def test_cost_is_of_answered_requests_and_refusals_are_no_errors() -> None:
    load = Load(seconds=2.0, ok=100, refused=7, failed=2, lost=1, p50_ms=5.0, p99_ms=9.0)
    assert measure(load, cpu_s=0.5, memory_mb=200.0) == Measured(
        rps=50.0, p50_ms=5.0, p99_ms=9.0, cpu_ms=5.0, memory_mb=200.0, errors=3, refused=7
    )


def test_a_server_that_answered_nothing_has_a_cost_all_the_same() -> None:
    load = Load(seconds=2.0, ok=0, refused=0, failed=0, lost=8, p50_ms=0.0, p99_ms=0.0)
    found = measure(load, cpu_s=0.5, memory_mb=1.0)
    assert (found.rps, found.cpu_ms, found.errors) == (0.0, 500.0, 8)


def test_loops_run_alone_in_processes_and_in_threads() -> None:
    shapes = [(each.processes, each.threads, each.batch) for each in topologies(2, [1, 8])]
    assert shapes == [(1, 1, 1), (1, 1, 8), (2, 1, 1), (2, 1, 8), (1, 2, 1), (1, 2, 8)]
    assert len(topologies(1, [1])) == 1
