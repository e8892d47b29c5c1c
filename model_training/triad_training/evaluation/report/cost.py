"""What the model costs: milliseconds of the graph for each subset of media, memory of the process."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from triad_serving.contract.outputs import Wanted, media_subsets
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs
from triad_training.evaluation.report.style import INK, label_bars, new_figure

ROUNDS = 15  # of which the first three warm up


def time_subsets(session: Session, examples: Sequence[ModelInputs]) -> dict[str, float]:
    """Median milliseconds of one request with attention, by subset of media, largest subset last.

    Interleaved: a round asks each subset of one example once. Only complete examples are asked.
    """
    most = max((len(example.media) for example in examples), default=0)
    complete = [example for example in examples if len(example.media) == most]
    times: dict[str, list[float]] = {}
    for each in range(ROUNDS if complete else 0):
        example = complete[each % len(complete)]
        for subset in media_subsets(example.media):
            started_s = time.perf_counter()
            session.run([example.only(*subset)], Wanted(attention=True))
            times.setdefault("+".join(subset), []).append(1000 * (time.perf_counter() - started_s))
    return {subset: statistics.median(found[3:]) for subset, found in times.items()}


def draw_times(times_ms: Mapping[str, float]) -> Figure:
    """As ratios to the largest subset: they hold where absolute times drift."""
    whole = list(times_ms.values())[-1]
    ratios = [ms / whole for ms in times_ms.values()]
    figure, (axes,) = new_figure(5.2, 0.7 + 0.3 * len(ratios))
    axes.barh(range(len(ratios)), ratios, height=0.66, color="#cbd2d9", edgecolor=INK, lw=0.6)
    axes.set_yticks(range(len(ratios)), [subset.replace("+", " + ") for subset in times_ms])
    axes.invert_yaxis()
    label_bars(axes, ratios, [f"{ratio:.2f}" for ratio in ratios])
    axes.set_xlim(0, max(ratios) * 1.12)
    axes.set_xlabel(f"time of the graph for one request; 1 = {whole:.2f} ms here")
    axes.grid(visible=False, axis="y")
    return figure


def peak_memory_bytes() -> int | None:
    """Largest resident memory that this process has had; None where the system does not say (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
