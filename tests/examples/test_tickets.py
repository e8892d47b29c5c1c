"""The made-up tickets: always the same, and enough for both configs to make bundles that answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tests.examples.conftest import EXAMPLES, Rows, load, read_table
from tests.triad_training.conftest import without_report
from triad_serving.engine.engine import Engine
from triad_serving.media.example import RawInputs
from triad_training.config.reading import load_config
from triad_training.learning.loop import fit, make_accelerator
from triad_training.learning.prepare import build_model
from triad_training.learning.prepare import prepare as prepare_training
from triad_training.learning.transfer import transfer_weights
from triad_training.train import train_bundle

EXAMPLE = EXAMPLES / "tickets"
prepare = load("tickets/prepare")
SMALL = (
    *("model.width=8", "model.heads=2", "model.text_layers=0", "model.fusion_layers=0", "optim.epochs=1"),
    *("preprocess.image.height=16", "preprocess.image.width=16"),
    *("preprocess.image.rows=2", "preprocess.image.columns=2", "preprocess.audio.window_s=0"),
    "model.linear=false",
)


def make(out: Path, tickets: int) -> Path:
    command = [sys.executable, EXAMPLE / "prepare.py", "--tickets", str(tickets), "--out", out]
    subprocess.run(command, check=True, capture_output=True)
    return out


def contents(folder: Path) -> Mapping[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("tickets"), 80)


@pytest.fixture(scope="module")
def rows(data: Path) -> Rows:
    return read_table(data / "metadata.csv")


def test_the_same_tickets_are_made_again(tmp_path: Path) -> None:
    assert contents(make(tmp_path / "first", 10)) == contents(make(tmp_path / "second", 10))


def test_every_ticket_has_a_medium_and_no_file_is_left_over(data: Path, rows: Rows) -> None:
    assert all(row["message"] or row["screenshot"] or row["voice_note"] for row in rows)
    assert not all(row["message"] and row["screenshot"] and row["voice_note"] for row in rows)
    named = {Path(row[column]) for row in rows for column in ("screenshot", "voice_note") if row[column]}
    assert contents(data).keys() == {*named, Path("metadata.csv")}
    assert {row["defect"] for row in rows} == set(prepare.DEFECTS)


def test_the_first_config_makes_a_bundle_that_answers_and_the_second_starts_from_it(
    data: Path, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small, without windows and linear experts, which export slowly, and without the report."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    here = (*SMALL, f"data.table={data / 'metadata.csv'}", "data.cache=''")
    with without_report():
        bundle = train_bundle(EXAMPLE / "config.toml", out=tmp_path, overrides=here)
    assert "novapad-x" in (bundle.path / "user_dictionary.txt").read_text("utf-8")
    row = next(row for row in rows if row["message"] and row["screenshot"] and row["voice_note"])
    raw = RawInputs(
        text=row["message"],
        image=(data / row["screenshot"]).read_bytes(),
        audio=(data / row["voice_note"]).read_bytes(),
    )
    with Engine.open(bundle.path) as engine:
        predictions = engine.predict_sync(raw).predictions
    assert set(predictions) == {"defect", "urgency", "topics"}

    more = prepare_training(load_config(EXAMPLE / "more.toml", here))
    model = build_model(more)
    transfer = transfer_weights(model, more.config.spec, more.assets, more.tasks, bundle)
    assert [transfer.taken[f"heads.{task}"] > 0 for task in more.config.tasks] == [True, True, True, False]
    assert fit(model, more, make_accelerator(more.config.optim), tmp_path / "more").heads.keys() == {
        *predictions, "outcome"
    }  # fmt: skip
