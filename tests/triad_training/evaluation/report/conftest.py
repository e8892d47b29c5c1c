"""The hand-computable bundle of tests/conftest.py, judged on a table with awkward labels and texts in it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import SPEC, TASKS, png_bytes, wav_bytes, write_tiny_bundle
from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.evaluate import Evaluation, evaluate_bundle

AWKWARD = "$\\frac{<b>声音&"  # a formula to matplotlib, markup to HTML, Chinese to both
EVIL = "seven <script>alert('七')</script>"
LABELS = ("word", "picture", AWKWARD)
PRIORS = {"kind": (0.5, 0.3, 0.2), "tags": (0.4, 0.6), "size": (3.0,)}
CONFIG = TrainConfig.model_validate(
    {
        "name": "tiny",
        "data": {"table": "metadata.csv", "image": "image", "audio": "audio"},
        "tasks": {"kind": {}, "tags": {"type": "multilabel"}, "size": {"type": "regression"}},
        "preprocess": {"text": SPEC.text, "image": SPEC.image, "audio": SPEC.audio},
    }
)


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Robustness and removal of parts included."""
    return judge(tmp_path_factory.mktemp("judged"), rows())


def judge(folder: Path, table: list[dict[str, str]], *, thorough: bool = True) -> Evaluation:
    """The tiny model on a table whose files are made here: `image` and `audio` cells are file names."""
    kind = replace(TASKS[0], labels=LABELS, temperature=0.5)
    tasks = tuple(replace(task, prior=PRIORS[task.name]) for task in (kind, *TASKS[1:]))
    bundle = write_tiny_bundle(folder, tasks=tasks, training=CONFIG.portable())
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "image", "audio", "split", "kind", "tags", "size"], restval="")
        writer.writeheader()
        writer.writerows(table)
    for row in table:
        if name := row.get("image"):
            (folder / name).write_bytes(png_bytes(value=int(name.split(".")[0])))
        if name := row.get("audio"):
            (folder / name).write_bytes(wav_bytes(peak=int(name.split(".")[0]) / 100))
    return evaluate_bundle(bundle, folder / "metadata.csv", robustness=thorough, removal=thorough)


def rows() -> list[dict[str, str]]:
    """Six test rows, each a picture brighter than its sound is loud: it answers `picture`, twice wrong.

    Row 3 lacks its sound, row 4 every label but its size.
    """
    test = [
        {"text": EVIL, "image": "250.png", "audio": "30.wav", "kind": "word", "tags": "seen", "size": "5"},
        {
            "text": "three",
            "image": "251.png",
            "audio": "31.wav",
            "kind": "picture",
            "tags": "seen",
            "size": "5",
        },
        {"text": "hello", "image": "252.png", "kind": "picture", "tags": "seen;spoken", "size": "4"},
        {"text": "七", "image": "253.png", "audio": "33.wav", "size": "5"},
        {"text": "hello", "image": "200.png", "audio": "34.wav", "kind": AWKWARD, "tags": ";", "size": "4.5"},
        {
            "text": "seven",
            "image": "255.png",
            "audio": "35.wav",
            "kind": "picture",
            "tags": "seen",
            "size": "6",
        },
    ]
    train = {"text": "hello hello", "image": "10.png", "audio": "10.wav", "kind": "word", "size": "1"}
    return [{**row, "split": "test"} for row in test] + [{**train, "split": "train"}]
