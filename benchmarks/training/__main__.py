"""Seconds per 1000 examples: by stage, with workers, in two processes, and beside a plain PyTorch loop.

    python -m benchmarks.training [--table CSV] [--rows 640] [--part stages,workers,processes,compare]

The network and recipe are those of examples/tridigits; --table is its manifest, or one of that shape is made
by code. Each part runs in a process of its own and is kept in --out: a run of one replaces only that one.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.serving.machine import describe_machine
from benchmarks.serving.servers import ROOT
from benchmarks.training.table import write_table

Found: TypeAlias = dict[str, Any]

PARTS = ("stages", "workers", "processes", "compare")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="manifest.csv of TriDigits")
    parser.add_argument("--rows", type=int, default=640, help="training rows; a fifth as many to validate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/training.json")
    options = parser.parse_args()

    document = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"parts": {}}
    with tempfile.TemporaryDirectory(prefix="triad-training-") as temporary:
        folder = Path(temporary)
        validation = max(options.rows // 5, 1)
        if options.table is None:
            table = write_table(folder / "made", train=options.rows, validation=validation)
        else:
            table = part_of(options.table, train=options.rows, validation=validation)
        noise = f"augment.audio.noise_folder={table.parent.resolve()}/noise"
        overrides = [f"data.cache={folder}/cache", noise, *options.overrides]
        try:
            for part in options.part:
                document["parts"][part] = measure(part, table, overrides, options.rounds)
                document.setdefault("rows", {})[part] = options.rows
                document["machine"] = describe_machine().sentence()
                document["table"] = "TriDigits" if options.table else "made by code"
                options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        finally:
            if options.table is not None:
                table.unlink()
    sys.stdout.write(f"{document['machine']}\n\n{markdown(document['parts'])}\n")


def measure(part: str, table: Path, overrides: Sequence[str], rounds: int) -> Found:
    def run(what: str, *, workers: int = 0, processes: int = 1) -> Found:
        return run_apart(what, table, overrides, workers=workers, rounds=rounds, processes=processes)

    match part:
        case "stages":
            return run("stages")
        case "workers":
            return {str(workers): run("epochs", workers=workers) for workers in (0, 1, 2)}
        case "processes":
            return {str(processes): run("epochs", processes=processes) for processes in (1, 2)}
        case "compare":
            return {str(workers): run("compare", workers=workers) for workers in (0, 2)}
    raise ValueError(f"{part} is none of {', '.join(PARTS)}")


def run_apart(
    what: str,
    table: Path,
    overrides: Sequence[str],
    *,
    workers: int,
    rounds: int,
    processes: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Found:
    """In processes of its own. Raises subprocess.CalledProcessError."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += ["-m", "benchmarks.training.run", what, str(table)]
    command += ["--workers", str(workers), "--rounds", str(rounds)]
    command += [argument for override in overrides for argument in ("--set", override)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment and {**environment}
    )
    found: Found = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def part_of(table: Path, *, train: int, validation: int) -> Path:
    """The first rows of each split, beside the table, whose files are relative to it."""
    counts = {"train": train, "val": validation, "validation": validation, "test": 10}
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        fields = reader.fieldnames or ()
    kept = [
        row
        for split, most in counts.items()
        for row in itertools.islice((row for row in rows if row["split"] == split), most)
    ]
    path = table.with_name("benchmark-part.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(kept)
    return path


def markdown(parts: Mapping[str, Found]) -> str:
    lines = []
    if "stages" in parts:
        lines += ["| stage, one process | s per 1000 examples |", "| --- | ---: |"]
        lines += [f"| {name} | {s:.2f} |" for name, s in parts["stages"].items() if not name.endswith("_mb")]
        lines += ["", f"Peak memory {parts['stages']['peak_mb']:.0f} MiB.", ""]
    for part, title in (("workers", "`optim.workers`"), ("processes", "processes, without workers")):
        if part in parts:
            lines += [f"| {title} | s per 1000 | waiting for data | peak MiB | of a worker |"]
            lines += ["| ---: | ---: | ---: | ---: | ---: |"]
            lines += [
                f"| {number} | {each['s_per_1000']:.2f} | {each['waiting']:.0%} | {each['peak_mb']:.0f} "
                f"| {each['largest_worker_mb']:.0f} |"
                for number, each in parts[part].items()
            ]
            lines.append("")
    if "compare" in parts:
        lines += ["| `workers` | trainer | plain loop | ratio | plain, all media together alone |"]
        lines += ["| ---: | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {workers} | {each['trainer']:.2f} | {each['plain loop']:.2f} "
            f"| {each['trainer / plain loop']:.2f} | {each['plain loop, all media together alone']:.2f} |"
            for workers, each in parts["compare"].items()
        ]
    return "\n".join(lines).strip()


if __name__ == "__main__":
    main()
