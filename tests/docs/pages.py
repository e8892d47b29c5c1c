"""The pages of docs/ as tests read them: their commands, their code, servers that they start."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PYTHON_PATH = os.pathsep.join(str(ROOT / folder) for folder in ("service", "model_training"))
PROGRAMS = {
    "triad": [sys.executable, "-m", "triad_serving.cli"],
    "uvicorn": [sys.executable, "-m", "uvicorn"],
    "python": [sys.executable],
    "curl": ["curl", "--silent", "--show-error", "--fail-with-body"],
}
SERVES = re.compile(r"^triad serve|^uvicorn|-m http\.server")
ADDRESS = re.compile(r"https?://[^:/ ]+:(\d+)")


@dataclass(frozen=True)
class Command:
    """line: as written, without the variables before it."""

    line: str
    variables: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)

    @property
    def argv(self) -> list[str]:
        first, *rest = self.words
        return [*PROGRAMS[first], *rest]

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("TRIAD_")}
        return {**own, "PYTHONPATH": PYTHON_PATH, "PYTHONUNBUFFERED": "1", **self.variables}


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[Command]:
    """Of one block: the lines that begin with `$ `."""
    found = []
    for line in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
        variables, rest = re.match(r"((?:[A-Z_]+=\S+ )*)(.+)", line).groups()  # type: ignore[union-attr]
        found.append(Command(rest, dict(each.split("=", 1) for each in variables.split())))
    return found


@contextmanager
def played(block: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Runs a block from the root of the project: what its commands printed, and the port of each server.

    Servers take a free port in place of the one that is written, and run until the end.
    """
    ports: dict[str, str] = {}
    printed: list[str] = []
    with ExitStack() as stack:
        for command in commands(block):
            if SERVES.search(command.line):
                written = re.search(r"--port (\d+)|http\.server (\d+)", command.line)
                assert written
                port = written[1] or written[2]
                free = Command(command.line.replace(port, "0"), _of(ports, command.variables))
                ports[port] = stack.enter_context(_served(free))
            else:
                argv = [_with(ports, word) for word in command.argv]
                ran = subprocess.run(
                    argv, cwd=ROOT, env=command.environment, capture_output=True, text=True, check=False
                )
                assert ran.returncode == 0, ran.stdout + ran.stderr
                printed.append(ran.stdout)
        yield printed, ports


@contextmanager
def _served(command: Command) -> Iterator[str]:
    """Its port, once it says its address."""
    process = subprocess.Popen(
        command.argv,
        cwd=ROOT,
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := ADDRESS.search(line):
                yield found[1]
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _with(ports: Mapping[str, str], text: str) -> str:
    for written, port in ports.items():
        text = text.replace(f":{written}", f":{port}")
    return text


def _of(ports: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    return {name: _with(ports, value) for name, value in variables.items()}
