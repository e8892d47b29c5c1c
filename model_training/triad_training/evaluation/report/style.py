"""How charts look: readable in grey (hatches and markers beside colour), Chinese where a font has it.

No pyplot: every figure stands alone, nothing global outlives `drawing`.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.typing import RcKeyType
from PIL import Image

DPI = 144
LATIN = "DejaVu Sans"  # comes with matplotlib
CHINESE = (  # the first that is installed lends its characters
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Droid Sans Fallback",
)
INK, FAINT = "#1f2933", "#9aa5b1"


@contextmanager
def drawing() -> Iterator[None]:
    """Fonts, sizes and colours for the figures made and rendered within."""
    installed = set(get_font_names())
    settings: dict[RcKeyType, Any] = {
        "text.parse_math": False,  # a label may hold dollars
        "font.family": [LATIN, *[name for name in CHINESE if name in installed][:1]],
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.grid": True,
        "grid.color": "#e4e7eb",
        "axes.axisbelow": True,
        "legend.frameon": False,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)  # no Chinese font at all
        yield


def new_figure(
    width: float, height: float, *, rows: Sequence[float] = (1,), columns: Sequence[float] = (1,)
) -> tuple[Figure, list[Axes]]:
    """width, height: inches; rows, columns: the relative sizes of a grid. Its axes, row by row."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    grid = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=rows, width_ratios=columns)
    return figure, list(grid.ravel())


def to_png(figure: Figure) -> bytes:
    """By Pillow: `savefig` would draw twice, and write the time and version that make equal charts differ."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    pixels_HW4 = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    Image.fromarray(pixels_HW4).convert("RGB").save(file, "PNG")
    return file.getvalue()


def label_bars(axes: Axes, values: Sequence[float], texts: Sequence[str]) -> None:
    """Each value behind the end of its horizontal bar."""
    for y, (value, text) in enumerate(zip(values, texts, strict=True)):
        axes.annotate(
            text, (max(value, 0), y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )


def decimals(values: Iterable[float]) -> int:
    """How many to print, so that the largest has two digits; never less than two for shares."""
    largest = max((abs(value) for value in values), default=0.0)
    needed = 1 - math.floor(math.log10(largest)) if largest > 0 else 0
    return max(needed, 2 if largest <= 1 else 0)


def shorten(label: str, width: int = 16) -> str:
    return label if len(label) <= width else f"{label[: width - 1]}…"
