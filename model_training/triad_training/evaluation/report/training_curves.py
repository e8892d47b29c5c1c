"""The chart of how training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from triad_training.evaluation.history import EpochRecord
from triad_training.evaluation.report.style import INK, new_figure


def draw_training(history: Sequence[EpochRecord]) -> Figure:
    """Loss, validation score, learning rate and seconds of each epoch; the best epoch is marked."""
    epochs = [record.epoch for record in history]
    best = max(history, key=lambda record: record.validation)
    figure, panels = new_figure(9.0, 4.6, rows=(1, 1), columns=(1, 1))
    loss, validation, rate, seconds = panels
    loss.plot(epochs, [record.loss for record in history], "o-", color=INK, ms=3)
    loss.set_title("training loss")
    validation.plot(epochs, [record.validation for record in history], "o-", color=INK, ms=3)
    validation.plot(best.epoch, best.validation, "*", color="white", markeredgecolor=INK, ms=14)
    validation.set_title(
        f"validation score, mean over tasks and subsets: {best.validation:.4f} in epoch {best.epoch}"
    )
    rate.plot(epochs, [record.learning_rate for record in history], "-", color=INK)
    rate.set_title("learning rate")
    waited = [record.seconds * record.data_share for record in history]
    computed = [record.seconds - wait for record, wait in zip(history, waited, strict=True)]
    seconds.bar(epochs, computed, color="#cbd2d9", edgecolor=INK, lw=0.4, label="computing")
    seconds.bar(
        epochs, waited, bottom=computed, color="white", edgecolor=INK, hatch="////", lw=0.4, label="waiting"
    )
    seconds.set_title("seconds")
    seconds.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2)
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    for axes in (rate, seconds):
        axes.set_xlabel("epoch")
    return figure
