"""TriDigits' config names files that its prepare.py writes, and no noise that the tests are made with."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from triad_training.config.reading import load_config
from triad_training.evaluation.metrics import Answers
from triad_training.media.registry import MEDIA

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "tridigits"
SOURCE = ROOT.parent / "shared" / "data"


def test_the_table_and_the_noise_are_made_as_the_config_names_them(tmp_path: Path) -> None:
    if not (SOURCE / "make_tridigits.py").exists():
        pytest.skip("make_tridigits.py and its data sets are not beside the project")
    small = tmp_path / "source"
    small.mkdir()
    for name in ("mnist", "fsdd", "esc10"):
        (small / name).symlink_to(SOURCE / name)
    script = (SOURCE / "make_tridigits.py").read_text("utf-8")
    (small / "make_tridigits.py").write_text(
        script.replace("default=(12000,2000,2000)", "default=(30,10,10)").replace(
            "default=1000)", "default=10)"
        ),
        encoding="utf-8",
    )
    shutil.copy(EXAMPLE / "config.toml", tmp_path)
    command = [sys.executable, EXAMPLE / "prepare.py", "--source", small, "--out", tmp_path / "data"]
    subprocess.run(command, check=True, capture_output=True)
    config = load_config(tmp_path / "config.toml")
    header, *rows = config.data.table.read_text("utf-8").splitlines()
    columns = {column for medium in MEDIA for column in medium.columns(config.data)}
    assert {*columns, *config.tasks, config.data.split} <= set(header.split(","))
    assert len(rows) == 60
    folder = config.augment.audio.noise_folder
    assert folder is not None
    assert {path.name[0] for path in folder.iterdir()} == {"1", "2"}


def test_the_product_of_experts_is_the_sum_of_their_log_probabilities() -> None:
    specification = importlib.util.spec_from_file_location("measure", EXAMPLE / "measure.py")
    assert specification is not None
    assert specification.loader is not None
    measure = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(measure)
    answers = Answers(
        media=("text", "image"),
        example_N=np.array([0, 0, 0]),
        subsets_N=np.array(["image", "text", "text+image"]),
        logits={"label": np.log(np.array([[0.5, 0.4, 0.1], [0.1, 0.4, 0.5], [0.1, 0.1, 0.8]], np.float32))},
        targets={"label": np.array([1, 1, 1], np.float32)},
        attention={"label": np.zeros((3, 3), np.float32)},
    )
    found = measure.accuracies(answers)
    assert found == {"image": 0, "text": 0, "text+image": 0, "text+image: product of experts": 100}
