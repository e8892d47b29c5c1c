"""Tables through Ray Data; the engines' part without Ray. `python -m benchmarks.cluster` proves the rest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import png_bytes, wav_bytes
from tests.triad_serving.scoring.test_score import ROWS, score, write_table
from triad_serving.cluster.scoring import Pool, RowScorers, score_with_ray
from triad_serving.contract.errors import SetupError
from triad_serving.contract.rows import read_rows
from triad_serving.engine.engine import Engine
from triad_serving.inference.options import Options
from triad_serving.scoring.score import Record, RowScorer, Scoring
from triad_serving.settings import Settings


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png_bytes())
    (tmp_path / "a.wav").write_bytes(wav_bytes())
    (tmp_path / "noise.png").write_bytes(b"noise")
    return write_table(tmp_path / "table.csv")


def test_an_engine_of_the_pool_writes_what_the_local_one_does(tiny_bundle: Path, table: Path) -> None:
    score(tiny_bundle, table, local := table.with_name("local.csv"), keep=["who"])
    settings = Settings(models=tiny_bundle)

    def by_pool(scorer: RowScorer, rows: object) -> list[Record]:
        assert list(read_rows(table)) == rows
        pooled = RowScorers(scorer, settings, 1)
        batch = {"row": [json.dumps(row) for row in read_rows(table)]}
        try:
            return [json.loads(record) for record in pooled(batch)["record"]]
        finally:
            pooled._engine.__exit__()

    with Engine.open(tiny_bundle, settings) as engine:
        out = table.with_name("pooled.csv")
        scoring = Scoring(engine, table, out, options=Options(), keep=["who"])
        assert len(list(scoring.run_by(by_pool))) == len(ROWS)
        assert scoring.write().failed == 3
    assert out.read_text() == local.read_text()


def test_without_ray_it_says_what_to_install(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    scorer = RowScorer(source=None, folder=Path(), options=Options(), keep=())  # type: ignore[arg-type]
    with pytest.raises(SetupError, match=r"pip install triad-serving\[ray\]"):
        next(score_with_ray(scorer, [], settings=Settings(models=tiny_bundle), pool=Pool(engines=1)))
