"""Charts of how good the answers are: by subset of media, class and confidence, and as the media get worse.

Shape letters: K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triad_serving.contract.arrays import I64
from triad_serving.contract.tasks import Task
from triad_training.evaluation.breakdown import Breakdown, Coverage, Reliability
from triad_training.evaluation.metrics import MAIN_SCORE, SCORE_NAMES
from triad_training.evaluation.report.style import FAINT, INK, label_bars, new_figure, shorten
from triad_training.evaluation.robustness import Curve
from triad_training.media.registry import by_name

MOST_CLASSES = 24  # beyond it, a confusion matrix shows the classes that are most confused
NUMBERED_CLASSES = 15  # up to it, its cells hold their counts
WORST_SHOWN = -0.5  # the R² of a subset that knows nothing can be -50
HATCHES = ("", "///", "xxx", "...")  # by number of media; beyond, the last


def draw_scores(
    task: Task, scores: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> Figure:
    """The main score of every subset of media, as bars that thicken in texture with the number of media.

    intervals: their ends, by subset; a line across the end of the bar.
    """
    figure, (axes,) = new_figure(5.2, 0.7 + 0.32 * len(scores))
    values = list(scores.values())
    hatches = [HATCHES[min(subset.count("+"), len(HATCHES) - 1)] for subset in scores]
    axes.barh(range(len(scores)), values, height=0.66, color="#cbd2d9", edgecolor=INK, hatch=hatches, lw=0.6)
    axes.set_yticks(range(len(scores)), [subset.replace("+", " + ") for subset in scores])
    axes.invert_yaxis()
    places = [place for place, subset in enumerate(scores) if subset in intervals]
    lows, highs = ([intervals[subset][end] for subset in scores if subset in intervals] for end in (0, 1))
    axes.hlines(places, lows, highs, color=INK, lw=1.6)
    axes.plot(lows, places, "|", highs, places, "|", color=INK, ms=6)
    ends = [max(value, intervals.get(subset, (0, value))[1]) for subset, value in scores.items()]
    label_bars(axes, ends, [f"{value:.3f}" for value in values])
    axes.set_xlim(max(min([0.0, *values]), WORST_SHOWN), 1.15)
    axes.set_xlabel(SCORE_NAMES.get(MAIN_SCORE[task.type], MAIN_SCORE[task.type]))
    axes.grid(visible=False, axis="y")
    return figure


def draw_confusion(breakdown: Breakdown, confusion_KK: I64) -> Figure:
    """Truth by answer, each row's shares in grey, its counts in the cells where there is room."""
    shown = _most_confused(confusion_KK)
    counts = confusion_KK[np.ix_(shown, shown)]
    shares = counts / np.maximum(confusion_KK[shown].sum(axis=1, keepdims=True), 1)
    labels = [shorten(breakdown.task.labels[k], 12) for k in shown]
    side = 1.5 + 0.3 * max(len(shown), 5)
    figure, (axes,) = new_figure(side + 0.2, side)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1.15)
    axes.set_xticks(range(len(shown)), labels, rotation=90 if max(map(len, labels)) > 3 else 0)
    axes.set_yticks(range(len(shown)), labels)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.grid(visible=False)
    if len(shown) <= NUMBERED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.6 else INK
                axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    return figure


def draw_classes(breakdown: Breakdown) -> Figure:
    """Precision and recall of each class or tag, rarest first."""
    listed = sorted(breakdown.classes.items(), key=lambda item: item[1]["examples"])[:MOST_CLASSES]
    figure, (axes,) = new_figure(5.2, 1.1 + 0.24 * len(listed))
    places = np.arange(len(listed))
    precision = [scores["precision"] for _, scores in listed]
    recall = [scores["recall"] for _, scores in listed]
    axes.hlines(places, precision, recall, color=FAINT, lw=1)
    axes.plot(precision, places, "o", color="white", markeredgecolor=INK, label="precision")
    axes.plot(recall, places, "D", color=INK, markersize=5, label="recall")
    axes.set_yticks(places, [f"{shorten(label)}  ({scores['examples']:.0f})" for label, scores in listed])
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.6, len(listed) - 0.4)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def draw_regression(breakdown: Breakdown) -> Figure:
    """Answer against truth; the diagonal is perfection."""
    figure, (axes,) = new_figure(3.9, 3.6)
    axes.plot(breakdown.targets, breakdown.answers, "o", color=INK, alpha=0.35, markersize=3, mew=0)
    ends = [float(values) for values in (breakdown.targets.min(), breakdown.targets.max())]
    axes.plot(ends, ends, "--", color=INK, lw=1)
    axes.set_xlabel("true")
    axes.set_ylabel("answered")
    return figure


def draw_reliability(reliability: Reliability) -> Figure:
    """Share of right answers against confidence; below, how many answers are how sure."""
    figure, (axes, counts) = new_figure(3.9, 4.0, rows=(3, 1))
    axes.plot([0, 1], [0, 1], "--", color=FAINT, lw=1, label="honest")
    axes.plot(reliability.confidence_Q, reliability.right_Q, "o-", color=INK, ms=4, label="measured")
    axes.vlines(
        reliability.confidence_Q, reliability.confidence_Q, reliability.right_Q, color=INK, lw=2.5, alpha=0.3
    )
    axes.set_ylabel("share that is right")
    axes.set_ylim(0, 1.03)
    axes.legend(loc="upper left")
    counts.bar(reliability.confidence_Q, reliability.count_Q, width=0.03, color=FAINT, edgecolor=INK, lw=0.5)
    counts.set_xlabel("confidence")
    counts.set_ylabel("answers")
    for each in (axes, counts):
        each.set_xlim(0, 1.03)
    return figure


def draw_coverage(breakdown: Breakdown, coverage: Coverage) -> Figure:
    """Accuracy of the answers kept against how many are; marked: what the model abstains from."""
    figure, (axes,) = new_figure(3.9, 3.2)
    axes.plot(
        coverage.kept_Q, coverage.right_Q, "o-", color=INK, ms=4, label="as the least sure are left out"
    )
    if breakdown.abstained is not None:
        open_share, right = breakdown.abstained
        below = f"abstaining below {breakdown.task.abstain_below:g}"
        axes.plot([1 - open_share], [right], "*", ms=14, color="white", mec=INK, label=below)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(min(0.5, float(coverage.right_Q.min())) - 0.03, 1.03)
    axes.set_xlabel("share that is answered")
    axes.set_ylabel("accuracy of these answers")
    axes.legend(loc="lower left")
    return figure


def draw_robustness(task: Task, curves: Sequence[Curve]) -> Figure:
    """One panel per corruption: score with all media, with the corrupted one alone, and its attention."""
    rows = -(-len(curves) // 2)
    figure, panels = new_figure(9.0, 2.6 * rows + 0.3, rows=(1,) * rows, columns=(1, 1))
    for axes, curve in zip(panels, curves, strict=False):
        _draw_curve(axes, task, curve)
    for axes in panels[len(curves) :]:
        axes.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def _draw_curve(axes: Axes, task: Task, curve: Curve) -> None:
    points, style = curve.points[task.name], by_name(curve.corruption.medium).style
    places = range(len(points))

    def line(values: Sequence[float | None], look: str, colour: str, face: str, label: str) -> None:
        known = [np.nan if value is None else value for value in values]
        axes.plot(places, known, look, color=colour, mfc=face, mec=INK, mew=0.6, ms=5, label=label)

    line([point.together for point in points], "o-", INK, INK, "score with all media")
    line([point.alone for point in points], "s--", style.colour, style.colour, "score with this medium alone")
    line([point.attention for point in points], "^:", FAINT, "white", "attention on this medium")
    names = ["as sent" if point.level is None else f"{point.level:g}" for point in points]
    axes.set_xticks(places, names)
    axes.set_ylim(-0.04, 1.04)
    axes.set_title(f"{curve.corruption.kind} ({curve.examples} of {curve.rows} rows)")
    axes.set_xlabel(curve.corruption.unit)


def _most_confused(confusion_KK: I64) -> list[int]:
    """All classes, or as many as fit, by how many of their rows or answers are wrong; in label order."""
    errors_KK = confusion_KK - np.diag(np.diag(confusion_KK))
    wrong_K = errors_KK.sum(axis=0) + errors_KK.sum(axis=1)
    return sorted(np.argsort(-wrong_K, kind="stable")[:MOST_CLASSES].tolist())
