"""The examples' own code, and the original data sets that lie beside the checkout; elsewhere tests skip."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
ORIGINALS = Path(__file__).parents[3] / "shared" / "data"

Rows = list[dict[str, str]]


def load(script: str) -> ModuleType:
    """A module of an example, by its path under examples/."""
    path = EXAMPLES / f"{script}.py"
    spec = importlib.util.spec_from_file_location(f"examples_{script}".replace("/", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def read_table(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], Path]:
    """Runs an example's prepare.py on an original, once: (example, option, folder) to the output."""
    made: dict[str, Path] = {}

    def prepare(example: str, option: str, folder: str) -> Path:
        original = ORIGINALS / folder
        if not original.is_dir():
            pytest.skip(f"the original data set {original} is not there")
        if example not in made:
            made[example] = tmp_path_factory.mktemp(example)
            script = EXAMPLES / example / "prepare.py"
            command = [sys.executable, str(script), option, str(original), "--out", str(made[example])]
            subprocess.run(command, check=True, capture_output=True, text=True)
        return made[example]

    return prepare
