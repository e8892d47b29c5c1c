from __future__ import annotations

from benchmarks.serving.results import Collected, Results, summarise
from benchmarks.serving.table import markdown
from tests.benchmarks.test_results import MACHINE, loop, results, run

__all__ = ["results"]  # the fixture


def cells(table: str, name: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_servers_stand_by_throughput_with_their_share_of_the_limit(results: Results) -> None:
    throughput, _ = tables(markdown(results))
    names = [line.split("|")[1].strip() for line in throughput.splitlines()[2:]]
    assert names == ["bare loop, 2 x 1, batch 8", "triad", "mosec"]
    assert cells(throughput, "triad") == ["100", "400", "0.80", "4.00", "4.00", "200", "1.5", "4 + 8"]
    assert cells(throughput, "mosec") == ["", "300", "0.60", "4.00", "", "200", "3.0", "0 + 2"]
    assert cells(throughput, "bare loop, 2 x 1, batch 8")[:4] == ["", "500", "1.00", "3.00"]


def test_latency_has_the_single_request_beside_it(results: Results) -> None:
    _, latency = tables(markdown(results))
    assert cells(latency, "bare loop, 1 x 1, batch 1") == ["3.5 / 4.5", ""]
    assert cells(latency, "triad") == ["10.0 / 20.0", "2.5 / 5.0"]


def test_every_row_has_as_many_cells_as_the_head(results: Results) -> None:
    for table in tables(markdown(results)):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_machine_settings_and_what_failed_are_told(results: Results) -> None:
    page = markdown(results)
    assert "2 of 4 cores of a CPU" in page.splitlines()[0]
    assert "rounds 3, seconds 5" in page.splitlines()[0]
    assert "- mlserver: ERROR: no such package" in page


def test_without_any_server_the_limit_is_told_alone() -> None:
    collected = Collected(loops=[loop(1, 1, 1, 250.0)])
    page = markdown(summarise(collected, machine=MACHINE, bundle="digits/1", settings={}))
    assert "bare loop, 1 x 1, batch 1" in page


def test_the_highest_concurrency_ranks_where_the_usual_one_was_not_run() -> None:
    collected = Collected(
        runs=[run("a", 2, 10.0), run("b", 2, 20.0)],
        start_s={"a": [1.0], "b": [1.0]},
        loops=[loop(1, 1, 1, 40.0)],
    )
    throughput, _ = tables(markdown(summarise(collected, machine=MACHINE, bundle="digits/1", settings={})))
    assert [line.split("|")[1].strip() for line in throughput.splitlines()[3:]] == ["b", "a"]


def tables(page: str) -> tuple[str, str]:
    throughput, latency = (part for part in page.split("\n\n") if part.startswith("|"))
    return throughput, latency
