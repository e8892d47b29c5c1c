"""docs/train.md: every command runs, in order, on a small table and for one epoch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import triad_training.train as training
from tests.docs.pages import ROOT, blocks, commands
from triad_serving.cli import app
from triad_serving.inference.bundle import read_bundle

FOLDERS = ("models/tickets/1", "models/tickets/2", "here/tickets/1")
# Without the report, linear experts and sound, which take their time on any table.
SMALL = (
    *("model.width=8", "model.heads=2", "model.text_layers=0", "model.fusion_layers=0", "model.linear=false"),
    *("preprocess.image.height=16", "preprocess.image.width=16", "preprocess.image.rows=2"),
    *("preprocess.image.columns=2", "data.audio=''", "data.cache=''", "optim.epochs=1", "optim.workers=0"),
)


def test_the_commands_train_go_on_and_hand_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "evaluate_answers", lambda *_, **__: None)
    monkeypatch.setattr(training, "write_report", lambda *_, **__: None)
    torch.set_num_threads(1)
    printed = {}
    for command in (each for block in blocks("train.md", "console") for each in commands(block)):
        if command.words[0] == "triad":
            words = command.words[1:]
            if words[0] == "train":
                words += [f"--set={each}" for each in SMALL]
            ran = CliRunner().invoke(app, words)
            assert ran.exception is None, (command.line, ran.exception, ran.output)
            printed[command.line] = ran.stdout
        else:
            subprocess.run(command.argv, env=command.environment, check=True, capture_output=True)
    [code] = blocks("train.md", "python")
    exec(compile(code, "docs/train.md", "exec"), {})
    first, second, pulled = (read_bundle(Path(path)) for path in FOLDERS)
    assert {task.name for task in first.tasks} == {"defect", "urgency"}
    assert second.manifest.training["transfer"] == {"bundle": "tickets/1", "whole": True}
    assert first.assets["text"].files() == second.assets["text"].files()
    assert first.weights_path is not None
    assert pulled.weights_path is None
    assert all(text.strip() for text in printed.values())
