from __future__ import annotations

from pathlib import Path

from benchmarks.media import make_examples
from benchmarks.pipeline import Pipeline
from benchmarks.stages import WHOLE, markdown, measure, stages_of
from triad_serving.engine.engine import Engine
from triad_serving.settings import Settings


def test_every_stage_of_a_request_runs_and_is_timed(tiny_bundle: Path) -> None:
    raw = make_examples()[0]
    with Engine.open(tiny_bundle, Settings(models=tiny_bundle, device="cpu", threads=1)) as engine:
        stages = stages_of(raw, Pipeline(tiny_bundle), engine)
        made = {stage.name: stage.run() for stage in stages}
        found_us = measure([stages], rounds=2)
    assert made["multipart parse"] == raw
    assert '"spoken"' in str(made["answer as JSON"])
    assert list(found_us) == [stage.name for stage in stages]
    assert all(us >= 0 for us in found_us.values())


def test_shares_are_of_the_sum_of_the_stages() -> None:
    table = markdown({"decode": 300.0, "graph": 100.0, WHOLE: 500.0})
    assert "| decode | 300 | 0.75 |" in table
    assert "| sum of the stages | 400 | 1.00 |" in table
    assert f"| {WHOLE} | 500 | 1.25 |" in table


def test_an_earlier_run_stands_beside_and_a_stage_that_it_lacks_stays_empty() -> None:
    found = {"decode": 100.0, "new": 50.0, WHOLE: 200.0}
    table = markdown(found, {"decode": 300.0, WHOLE: 400.0})
    assert "| decode | 100 | 0.67 | 300 | 3.00 |" in table
    assert "| new | 50 | 0.33 |  |  |" in table
    assert "| sum of the stages | 150 | 1.00 | 300 | 2.00 |" in table
