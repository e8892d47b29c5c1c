"""The series as one drawing, readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.growth.series import Series

GREY = "#8a8f98"  # between black and white
COLOURS = ("#2f81f7", "#d9822b", "#3fa66b", "#b267d9")
COLUMNS = 3
LABELS = {
    "cpu_ms": "CPU ms a request",
    "p99_ms": "p99 ms",
    "p50_ms": "p50 ms",
    "memory_mb": "memory MB",
    "start_s": "start s",
    "seconds": "s",
    "cpu_s": "CPU s",
}


def draw(series: Sequence[Series], path: Path) -> None:
    """SVG. Both axes are logarithmic; the dotted line is linear growth."""
    lines = -(-len(series) // COLUMNS)
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 9, "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(3.1 * COLUMNS, 2.6 * lines), layout="constrained")
        FigureCanvasSVG(figure)
        grid = figure.subplots(lines, COLUMNS, squeeze=False)
        for each, axes in zip(series, grid.flat, strict=False):
            _draw_series(each, axes)
        for axes in list(grid.flat)[len(series) :]:
            axes.set_axis_off()
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def _draw_series(series: Series, axes: Axes) -> None:
    sizes = list(series.points)
    for cost, colour in zip(series.costs, COLOURS, strict=False):
        values = [point[cost] for point in series.points.values()]
        axes.plot(sizes, values, marker="o", markersize=3, color=colour, label=LABELS.get(cost, cost))
    last = max(point[series.costs[0]] for point in series.points.values())
    least = min(point[cost] for point in series.points.values() for cost in series.costs)
    first = max(sizes[0], sizes[-1] * least / last)
    axes.plot([first, sizes[-1]], [last * first / sizes[-1], last], ":", color=GREY, linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(series.name, color=GREY, fontsize=10)
    axes.set_xlabel(series.unit, color=GREY)
    axes.tick_params(which="both", colors=GREY, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.minorticks_off()
    axes.set_xticks(sizes, [_short(size) for size in sizes])
    axes.legend(frameon=False, labelcolor=GREY, fontsize=8)


def _short(size: float) -> str:
    return f"{size / 1000:g}k" if size >= 1000 and math.isclose(size % 100, 0) else f"{size:g}"
