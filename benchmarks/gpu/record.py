"""What each step found, written after every one: a run that is cut short still tells something.

Each step runs in a process of its own: a lost GPU, a crash or a hang costs only that step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.serving.servers import ROOT

Found: TypeAlias = dict[str, Any]
LEAST_S = 15.0  # a step is not begun with less time left
SHOWN = 2000  # characters of what a failed step said last


class Record:
    """One JSON file. Of each step: seconds, and what it `found`, or its `error`, or why it was `skipped`."""

    def __init__(self, out: Path, *, about: Mapping[str, Any], limit_s: float) -> None:
        """limit_s: of all steps together; later ones are skipped."""
        self._out = out
        self._started_s = time.monotonic()
        self._limit_s = limit_s
        self.document: Found = {**about, "steps": {}}
        self._write()

    @property
    def steps(self) -> dict[str, Found]:
        steps: dict[str, Found] = self.document["steps"]
        return steps

    @property
    def left_s(self) -> float:
        return self._limit_s - (time.monotonic() - self._started_s)

    def step(self, title: str, name: str, most_s: float, /, **arguments: Any) -> Found | None:
        """Runs a step of benchmarks.gpu.steps; what it found, None where it did not get that far."""
        if self.left_s < LEAST_S:
            return self.skip(title, f"No time left of {self._limit_s:.0f} s.")
        sys.stderr.write(f"{title} ... ")
        sys.stderr.flush()
        started_s = time.monotonic()
        outcome = run_step(name, arguments, min(most_s, self.left_s))
        outcome["seconds"] = round(time.monotonic() - started_s, 1)
        self.steps[title] = outcome
        self._write()
        word = "found" if "found" in outcome else outcome["error"].strip().splitlines()[-1][:150]
        sys.stderr.write(f"{outcome['seconds']:.1f} s, {word}\n")
        return outcome.get("found")

    def skip(self, title: str, reason: str) -> None:
        self.steps[title] = {"skipped": reason}
        self._write()
        sys.stderr.write(f"{title}: {reason}\n")

    def _write(self) -> None:
        partial = self._out.with_name(f"{self._out.name}.partial")
        partial.write_text(json.dumps(self.document, indent=2) + "\n", encoding="utf-8")
        partial.replace(self._out)


def run_step(name: str, arguments: Mapping[str, Any], most_s: float) -> Found:
    """`found` or `error`."""
    with tempfile.TemporaryDirectory(prefix="triad-gpu-") as folder:
        out, log = Path(folder) / "found.json", Path(folder) / "log"
        command = [sys.executable, "-m", "benchmarks.gpu.steps", name, json.dumps(arguments, default=str)]
        with log.open("wb") as output:
            try:
                ended = subprocess.run(
                    [*command, str(out)],
                    cwd=ROOT,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=most_s,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                ended = None
        said = log.read_text(encoding="utf-8", errors="replace").strip()[-SHOWN:]
        if ended == 0:
            found: Found = json.loads(out.read_text(encoding="utf-8"))
            return {"found": found}
    why = f"It took longer than {most_s:.0f} s." if ended is None else f"It ended with {ended}."
    return {"error": f"{said}\n{why}".strip()}
