"""Charts of whether attention can be believed: beside Shapley values, by class, when media are deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triad_serving.contract.outputs import MediumName
from triad_training.evaluation.attribution import Attribution, MediaUse, spearman
from triad_training.evaluation.removal import Order, Removals
from triad_training.evaluation.report.style import (
    FAINT,
    INK,
    decimals,
    label_bars,
    new_figure,
    shorten,
)
from triad_training.media.registry import by_name

MOST_POINTS = 600  # of a scatter
MOST_CLASSES = 24
LOOKS: dict[Order, tuple[str, str]] = {  # line and marker, and its filling
    "attention": ("o-", INK),
    "occlusion": ("s--", "white"),
    "shapley": ("^:", "#9aa5b1"),
    "random": ("x-.", "white"),
}
NAMES: dict[Order, str] = {
    "attention": "attention",
    "occlusion": "occlusion",
    "shapley": "Shapley value of the medium",
    "random": "random",
}


def draw_agreement(game: Attribution, correlation: float | None) -> Figure:
    """Each medium's Shapley value against its attention; and the rank correlations of the examples."""
    figure, (axes, ranks) = new_figure(6.4, 3.2, columns=(1.5, 1))
    every = max(1, len(game.rows_E) // MOST_POINTS)
    for m, medium in enumerate(game.media):
        if game.present_EM[:, m].any():
            style = by_name(medium).style
            axes.plot(
                game.attention_EM[::every, m],
                game.shapley_EM[::every, m],
                style.marker,
                color=style.colour,
                markeredgecolor=INK,
                mew=0.4,
                ms=4,
                alpha=0.6,
                label=medium,
            )
    axes.axhline(0, color=FAINT, lw=1)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("attention on the medium")
    axes.set_ylabel("its Shapley value")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3)
    seen = game.present_EM.any(axis=0)
    shapley_EM = np.abs(game.shapley_EM) if game.task.type == "regression" else game.shapley_EM
    found_E = spearman(game.attention_EM[:, seen], shapley_EM[:, seen])
    bins = np.linspace(-1.125, 1.125, 10).tolist()
    ranks.hist(found_E[~np.isnan(found_E)], bins=bins, color="#cbd2d9", edgecolor=INK, lw=0.6)
    if correlation is not None:
        ranks.axvline(correlation, color=INK, ls="--", lw=1.2)
        ranks.set_title(f"mean {correlation:.2f}")
    ranks.set_xlim(-1.15, 1.15)
    ranks.set_xlabel("rank correlation of one example")
    ranks.set_ylabel("examples")
    return figure


def draw_deletion(numbers: Mapping[str, float]) -> Figure:
    """How far the answer falls without the medium of most attention, a random one, and the one of least."""
    values = [numbers[f"drop_{which}"] for which in ("most", "random", "least")]
    figure, (axes,) = new_figure(4.2, 1.7)
    axes.barh(range(3), values, color="#cbd2d9", edgecolor=INK, hatch=["xxx", "///", ""], lw=0.6)
    axes.set_yticks(range(3), ["most attended", "random", "least attended"])
    axes.invert_yaxis()
    places = decimals(values) + 1
    label_bars(axes, values, [f"{value:z.{places}f}" for value in values])
    axes.set_xlim(min(0.0, *values), max(values) * 1.18 or 1.0)
    axes.set_xlabel("mean drop without this medium")
    axes.grid(visible=False, axis="y")
    return figure


def draw_removal(removals: Removals) -> Figure:
    """The answer's probability as its parts go, and as they come, in each order."""
    figure, (deletion, insertion) = new_figure(7.4, 4.0, columns=(1, 1))
    for each in removals.orders:
        look, face = LOOKS[each.order]
        for axes, curve, area in (
            (deletion, each.deletion, each.deletion_area),
            (insertion, each.insertion, each.insertion_area),
        ):
            name = f"{NAMES[each.order]}: {area:.2f}"
            axes.plot(removals.shares, curve, look, color=INK, mfc=face, mec=INK, lw=1, ms=4.5, label=name)
    deletion.set_title("parts removed: lower is better")
    insertion.set_title("parts put in: higher is better")
    deletion.set_ylabel("probability of the answer")
    for axes in (deletion, insertion):
        axes.set_ylim(-0.04, 1.04)
        axes.set_xlabel("share of the parts")
        axes.legend(
            title="area under the curve",
            fontsize=8,
            title_fontsize=8,
            loc="upper left",
            bbox_to_anchor=(0, -0.2),
        )
    return figure


def draw_use(uses: Sequence[MediaUse]) -> Figure:
    """Attention and Shapley value of each medium by class, side by side as grey tables."""
    listed = uses[: MOST_CLASSES + 1]
    media = list(listed[0].attention)
    figure, (left, right) = new_figure(2.2 + 1.5 * len(media), 1.0 + 0.26 * len(listed), columns=(1, 1))
    _draw_table(left, [[use.attention[medium] for medium in media] for use in listed], media)
    _draw_table(right, [[use.shapley[medium] for medium in media] for use in listed], media)
    left.set_title("attention")
    right.set_title("Shapley value")
    names = ["all" if use.label is None else shorten(use.label) for use in listed]
    left.set_yticks(range(len(listed)), [f"{n}  ({u.examples})" for n, u in zip(names, listed, strict=True)])
    right.set_yticks([])
    return figure


def _draw_table(axes: Axes, values: Sequence[Sequence[float]], media: Sequence[MediumName]) -> None:
    shades = np.abs(values)
    strongest = max(float(shades.max()), 1e-9)
    axes.imshow(shades, cmap="Greys", vmin=0, vmax=1.3 * strongest, aspect="auto")
    axes.set_xticks(range(len(media)), media)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    places = decimals(shades.ravel().tolist())
    for (row, column), value in np.ndenumerate(np.array(values)):
        colour = "white" if abs(value) > 0.75 * strongest else INK
        axes.text(column, row, f"{value:z.{places}f}", ha="center", va="center", fontsize=7.5, color=colour)
