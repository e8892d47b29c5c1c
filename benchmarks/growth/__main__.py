"""Cost against size: requests a second, CPU time, p99, memory, start; a table, a figure, JSON.

    python -m benchmarks.growth [--series rows,text,sound,image,models,workers,table] [--seconds 3]

Each series is measured, then kept in --out: a run of one replaces only that one. The larger sizes are
answered a few times a second, so that their p99 is about the slowest answer. An exponent of 1 is linear
growth; steps above 1.1 are named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth.figure import draw
from benchmarks.growth.measure import SERIES
from benchmarks.growth.series import Series
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.servers import ROOT

RESULTS = ROOT / "benchmarks/results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "service/triad_serving/models/digits/1")
    parser.add_argument("--series", type=lambda text: text.split(","), default=list(SERIES))
    parser.add_argument("--seconds", type=float, default=3, help="at each size")
    parser.add_argument("--out", type=Path, default=RESULTS / "growth.json")
    parser.add_argument("--figure", type=Path, default=RESULTS / "growth.svg")
    options = parser.parse_args()

    document = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"series": {}}
    for name in options.series:
        series = SERIES[name](options.bundle.resolve(), options.seconds)
        document["series"][name] = to_json(series)
        document["machine"] = describe_machine().sentence()
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        sys.stderr.write(f"{name} measured\n")
    found = [from_json(document["series"][name]) for name in SERIES if name in document["series"]]
    draw([each for each in found if len(each.points) > 2], options.figure)
    sys.stdout.write(f"{document['machine']}\n\n{markdown(found)}\n")


def to_json(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "unit": series.unit,
        "costs": list(series.costs),
        "points": [{"size": size, **point} for size, point in series.points.items()],
        "exponents": {cost: series.exponent(cost) for cost in series.costs},
    }


def from_json(document: Mapping[str, Any]) -> Series:
    points = {point["size"]: {k: v for k, v in point.items() if k != "size"} for point in document["points"]}
    return Series(name=document["name"], unit=document["unit"], costs=document["costs"], points=points)


def markdown(found: Sequence[Series]) -> str:
    """A line for each cost: its values, its exponent, and the steps that are worse than linear."""
    lines = ["| what grows | cost | from smallest to largest | exponent | steps above linear |"]
    lines.append("| --- | --- | --- | ---: | --- |")
    for series in found:
        sizes = f"{series.name}: {_list(list(series.points))} {series.unit}"
        for cost in series.costs:
            values = _list([point[cost] for point in series.points.values()])
            steps = series.steep(cost).items()
            steep = "; ".join(f"{before:g} to {after:g}: {slope:.2f}" for (before, after), slope in steps)
            lines.append(
                f"| {sizes} | {cost.replace('_', ' ')} | {values} | {series.exponent(cost):.2f} | {steep} |"
            )
            sizes = ""
    return "\n".join(lines)


def _list(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.0f}" if number >= 100 else f"{number:.3g}" for number in numbers)


if __name__ == "__main__":
    main()
