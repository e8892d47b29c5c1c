from __future__ import annotations

import json
import multiprocessing

import pytest

from benchmarks.fuzz import SHARES, Outcome, Report, Seeds, _collect


def outcome(index: int, kind: str = "image", status: int = 422, **more: object) -> Outcome:
    return Outcome(index=index, kind=kind, status=status, **{"seconds": 0.001, **more})


def test_the_same_numbers_make_the_same_input_and_others_another() -> None:
    one, other = Seeds(), Seeds()
    attacks = [one.attack(1, index) for index in range(200)]
    assert attacks == [other.attack(1, index) for index in range(200)]
    assert len({attack.data for attack in attacks}) > 150
    assert {attack.kind for attack in attacks} == set(SHARES)


def test_a_report_tells_statuses_the_slowest_and_what_should_not_have_been() -> None:
    report = Report()
    report.add(outcome(0, memory_mb=100.04))
    report.add(outcome(1, seconds=0.25))
    report.add(outcome(2, kind="route", status=500, failure="status 500"))
    document = json.loads(json.dumps(report.as_json()))

    assert document["inputs"]["image"] == 2
    assert document["statuses"]["image"] == {"422": 2}
    assert document["slowest"]["image"] == {"index": 1, "ms": 250.0, "status": 422}
    assert [failure["index"] for failure in document["failures"]] == [2]
    assert document["memory_mb"] == [[0, 100.0]]


@pytest.mark.parametrize("ends", [True, False])
def test_a_process_that_ended_is_told_from_one_that_hangs(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr("benchmarks.fuzz.HANG_S", 0.05)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sender.send(outcome(0))
    if ends:
        sender.close()
    report = Report()

    assert _collect(receiver, report) == ends
    assert report.statuses["image"] == {422: 1}
