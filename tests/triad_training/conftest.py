"""A table of examples small enough to learn in seconds: upright bars with a high tone, or flat and low."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from filelock import FileLock
from PIL import Image

import triad_training.train as training
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_training.config.reading import load_config
from triad_training.learning.loop import fit, make_accelerator
from triad_training.learning.prepare import build_model, prepare

FIELDS = ("text", "image_file_name", "audio_file_name", "split", "kind", "tags", "size")
CONFIG = """
name = "toy"
[data]
table = "metadata.csv"
[tasks.kind]
[tasks.tags]
type = "multilabel"
[tasks.size]
type = "regression"
[preprocess.image]
height = 16
width = 16
rows = 2
columns = 2
[preprocess.audio]
max_s = 1.0
window = 200
hop = 80
frames_per_token = 4
[preprocess.text]
max_tokens = 64
pos = true
[model]
linear = false
width = 16
heads = 2
mels = 16
text_layers = 1
fusion_layers = 1
dropout = 0.1
[augment.text]
drop = 0.0
[augment.spectrum]
time_s = 0.0
bands = 0.0
[optim]
weight_decay = 0.05
average = 0.0
label_smoothing = 0.0
epochs = 12
patience = 12
batch_size = 16
learning_rate = 0.01
workers = 0
[provenance]
data = "Drawn by the test."
licence = "CC0"
"""
WORDS = {"high": ("明亮 day", "shining sun"), "low": ("黑暗 night", "gloomy moon")}
WITH_EXPERTS = ("model.linear=true", 'data.audio=""', "optim.epochs=1", "name=expert")
ROOT = Path(__file__).parents[2]
# `fit_toy` for a process of its own: folder, run, overrides.
FIT = """
import sys
from pathlib import Path
import torch
from tests.triad_training.conftest import fit_toy

torch.set_num_threads(1)
fit_toy(Path(sys.argv[1]), *sys.argv[2:])
"""


def write_rows(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def toy_row(folder: Path, n: int, split: str) -> dict[str, str]:
    """Files of row n and its cells; every fifth row lacks a medium, every seventh its label for `size`."""
    kind = ("high", "low")[n % 2]
    image, audio = folder / f"{n}.png", folder / f"{n}.wav"
    pixels_HW3 = np.full((20, 20, 3), n, dtype=np.uint8)
    pixels_HW3[:, 8:12] = 255
    Image.fromarray(pixels_HW3 if kind == "high" else pixels_HW3.swapaxes(0, 1)).save(image)
    count = 1600 + 8 * n
    wave_T = 0.5 * np.sin(2 * np.pi * (1200 if kind == "high" else 300) * np.arange(count) / 8000)
    soundfile.write(audio, wave_T, 8000)
    row = {
        "text": WORDS[kind][n % 4 // 2],
        "image_file_name": image.name,
        "audio_file_name": audio.name,
        "split": split,
        "kind": kind,
        "tags": "light;big" if kind == "high" else ";",
        "size": "" if n % 7 == 3 else str(100 + 50 * (kind == "high")),
    }
    if n % 5 == 4:
        row[FIELDS[n // 5 % 3]] = ""
    return row


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors this small only wait for each other on several."""
    torch.set_num_threads(1)


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    """metadata.csv with its files, and config.toml."""
    return make_toy_folder(tmp_path)


def make_toy_folder(folder: Path) -> Path:
    splits = ["train"] * 64 + ["val"] * 16 + ["test"] * 20
    write_rows(folder, [toy_row(folder, n, split) for n, split in enumerate(splits)])
    here = f'table = "metadata.csv"\ncache = "{(folder / "cache").as_posix()}"'
    (folder / "config.toml").write_text(CONFIG.replace('table = "metadata.csv"', here), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Trained once for all tests; its table lies in the folder `table` beside the models."""
    return trained_once(tmp_path_factory, "toy", train_toy)


@pytest.fixture(scope="session")
def expert_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of text and image, with linear experts, after one epoch; its table lies likewise; no report."""

    def train(root: Path) -> Bundle:
        with without_report():
            return train_toy(root, *WITH_EXPERTS)

    return trained_once(tmp_path_factory, "expert", train)


def trained_once(factory: pytest.TempPathFactory, name: str, train: Callable[[Path], Bundle]) -> Bundle:
    """What the first of pytest's processes trains, in a folder that all of them see: do not change it."""
    own = factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    with FileLock(root.with_suffix(".lock")):
        made = root / "bundle"
        if not made.exists():
            root.mkdir()
            made.write_text(str(train(root).path), encoding="utf-8")
    return read_bundle(Path(made.read_text("utf-8")))


@contextmanager
def without_report() -> Iterator[None]:
    """Trainings end with the bundle: some thirty charts take longer than a toy's training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "evaluate_answers", lambda *_, **__: None)
        patch.setattr(training, "write_report", lambda *_, **__: None)
        yield


def train_toy(root: Path, *overrides: str) -> Bundle:
    (root / "table").mkdir()
    make_toy_folder(root / "table")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return training.train_bundle(root / "table" / "config.toml", out=root / "models", overrides=overrides)


@pytest.fixture
def blank_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_charts_blank(monkeypatch)


def leave_charts_blank(patch: pytest.MonkeyPatch) -> None:
    """Reports lay out their charts as ever and do not draw them, which takes a quarter of a second each."""
    patch.setattr("triad_training.evaluation.report.page.to_png", lambda figure: b"")


def fit_toy(toy_folder: Path, run: str, *overrides: str) -> dict[str, torch.Tensor]:
    """Weights after a run that keeps its checkpoint in toy_folder/run."""
    config = load_config(toy_folder / "config.toml", overrides)
    torch.manual_seed(0)
    prepared = prepare(config)
    model = build_model(prepared)
    return fit(model, prepared, make_accelerator(config.optim), toy_folder / run).state_dict()


def table_folder(bundle: Bundle) -> Path:
    """Where the toy bundle's table lies."""
    return bundle.path.parents[2] / "table"
