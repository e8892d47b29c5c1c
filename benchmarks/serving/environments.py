"""Peers' virtual environments: made when first asked for, made anew when what a peer states has changed."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

BENCHMARKS = Path(__file__).parents[1]
PEERS = BENCHMARKS / "peers"
FOLDER = BENCHMARKS / ".peers"
SHARED = BENCHMARKS / "pipeline.py"  # states what every peer installs beside its own
CONSTRAINTS = BENCHMARKS.parent / "constraints.txt"
STAMP = "installed.txt"

# Source: PEP 723, reference implementation.
BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


class InstallError(Exception):
    """A peer that cannot be installed, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a file states about itself in its PEP 723 block."""

    dependencies: tuple[str, ...]
    python: SpecifierSet


def python_of(module: str) -> Path:
    """The interpreter of a peer, by its file in peers/; installs it where needed. Raises InstallError."""
    stated = read_block((PEERS / f"{module}.py").read_text(encoding="utf-8"))
    shared = read_block(SHARED.read_text(encoding="utf-8"))
    wanted = requirements(stated, shared, CONSTRAINTS.read_text(encoding="utf-8"))
    folder = FOLDER / module
    stamp, written = folder / STAMP, "".join(f"{line}\n" for line in wanted)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != written:
        _install(folder, python_for(stated.python), wanted)
        stamp.write_text(written, encoding="utf-8")
    return folder / "bin" / "python"


def read_block(source: str) -> Stated:
    """Raises ValueError where the file has no block."""
    found = BLOCK.search(source)
    if found is None:
        raise ValueError("The file states no dependencies (PEP 723).")
    lines = found["content"].splitlines()
    block = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    return Stated(
        dependencies=tuple(block["dependencies"]), python=SpecifierSet(block.get("requires-python", ""))
    )


def requirements(stated: Stated, shared: Stated, constraints: str) -> list[str]:
    """The peer's own, and the shared ones that it does not name itself, as constraints.txt pins them."""
    pins = [Requirement(line) for line in constraints.splitlines() if line and not line.startswith("#")]
    own = {Requirement(line).name for line in stated.dependencies}
    left = set(shared.dependencies) - own
    return sorted([*stated.dependencies, *(str(pin) for pin in pins if pin.name in left)])


def _install(folder: Path, interpreter: str, wanted: Sequence[str]) -> None:
    sys.stderr.write(f"Installing {folder.name} ...\n")
    _call([interpreter, "-m", "venv", "--clear", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*pip, *wanted])


def _call(command: Sequence[str]) -> None:
    """Raises InstallError with the last lines that speak of an error."""
    called = subprocess.run(command, capture_output=True, text=True, check=False)
    if called.returncode != 0:
        lines = f"{called.stdout}\n{called.stderr}".strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise InstallError(" ".join(errors[-3:]))


def python_for(wanted: SpecifierSet) -> str:
    """Ours where it will do, else one on the PATH. Raises InstallError."""
    for candidate in _candidates():
        version = _version(candidate)
        if version and wanted.contains(version):
            return candidate
    raise InstallError(f"It needs Python {wanted}, and there is none on the PATH.")


def _candidates() -> Iterator[str]:
    yield sys.executable
    for folder in os.get_exec_path():
        yield from sorted(str(path) for path in Path(folder).glob("python3*") if path.name[6:].isdecimal())
        yield from sorted(str(path) for path in Path(folder).glob("python3.*") if path.name[8:].isdecimal())


@functools.cache
def _version(interpreter: str) -> str:
    """Empty where it does not run."""
    program = "import platform; print(platform.python_version())"
    called = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=False)
    return called.stdout.strip()
