"""What charts draw is what they were given; how they look is judged by eye."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from triad_training.evaluation.attribution import attribute, use_by_class
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.history import EpochRecord
from triad_training.evaluation.report.attention_charts import (
    draw_agreement,
    draw_deletion,
    draw_removal,
    draw_use,
)
from triad_training.evaluation.report.cost import draw_times, peak_memory_bytes, time_subsets
from triad_training.evaluation.report.findings import main_intervals, main_scores
from triad_training.evaluation.report.quality import (
    MOST_CLASSES,
    draw_classes,
    draw_confusion,
    draw_coverage,
    draw_reliability,
    draw_robustness,
    draw_scores,
)
from triad_training.evaluation.report.style import decimals, drawing, new_figure, shorten, to_png
from triad_training.evaluation.report.training_curves import draw_training
from triad_training.media.registry import MEDIA


@pytest.fixture(autouse=True)
def as_on_the_page() -> Iterator[None]:
    with drawing():
        yield


def test_scores_are_drawn_for_every_subset_at_their_values(evaluation: Evaluation) -> None:
    task = evaluation.bundle.tasks[0]
    [axes] = draw_scores(task, main_scores(evaluation, task), {}).axes
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert widths == [tasks["kind"]["accuracy"] for tasks in evaluation.scores.values()]
    hatches = {str(bar.get_hatch() or "") for bar in axes.patches}
    assert len(hatches) == 3  # one, two and three media differ without colour


def test_intervals_lie_across_the_bars_of_the_subsets_that_have_one(evaluation: Evaluation) -> None:
    task = evaluation.bundle.tasks[0]
    intervals = main_intervals(evaluation, task)
    assert list(intervals) == list(main_scores(evaluation, task))
    [axes] = draw_scores(task, main_scores(evaluation, task), intervals).axes
    [lines] = axes.collections
    spans = [(path.vertices[0][0], path.vertices[1][0]) for path in lines.get_paths()]  # type: ignore[index]
    assert spans == [pytest.approx(ends) for ends in intervals.values()]


def test_coverage_is_drawn_with_the_point_where_the_model_abstains(evaluation: Evaluation) -> None:
    breakdown = evaluation.breakdowns["kind"]
    assert breakdown.coverage is not None
    [axes] = draw_coverage(breakdown, breakdown.coverage).axes
    assert len(axes.lines) == 1
    careful = replace(breakdown, abstained=(0.25, 0.9))
    [axes] = draw_coverage(careful, breakdown.coverage).axes
    assert (axes.lines[1].get_xdata()[0], axes.lines[1].get_ydata()[0]) == (0.75, 0.9)  # type: ignore[index]


def test_a_confusion_matrix_holds_the_counts_and_only_the_most_confused_of_many(
    evaluation: Evaluation,
) -> None:
    breakdown = evaluation.breakdowns["kind"]
    assert breakdown.confusion_KK is not None
    [axes] = draw_confusion(breakdown, breakdown.confusion_KK).axes
    assert sum(int(text.get_text()) for text in axes.texts) == breakdown.scores["examples"]
    many = np.eye(60, dtype=np.int64) * 5
    many[58, 59] = 3
    sixty = replace(breakdown.task, labels=tuple(map(str, range(60))))
    [axes] = draw_confusion(replace(breakdown, task=sixty), many).axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(labels) == MOST_CLASSES
    assert {"58", "59"} <= set(labels)


def test_classes_reliability_and_curves_hold_the_measured_points(evaluation: Evaluation) -> None:
    breakdown = evaluation.breakdowns["kind"]
    precision, recall = draw_classes(breakdown).axes[0].lines
    assert sorted(precision.get_xdata()) == sorted(each["precision"] for each in breakdown.classes.values())
    assert sorted(recall.get_xdata()) == sorted(each["recall"] for each in breakdown.classes.values())
    bins = breakdown.reliability
    assert bins is not None
    measured = draw_reliability(bins).axes[0].lines[1]
    assert measured.get_ydata() == pytest.approx(bins.right_Q)
    figure = draw_robustness(breakdown.task, evaluation.curves)
    for axes, curve in zip(figure.axes, evaluation.curves, strict=True):
        assert list(axes.lines[0].get_ydata()) == [point.together for point in curve.points["kind"]]
        assert axes.get_xticklabels()[0].get_text() == "as sent"


def test_attention_is_drawn_beside_contributions(evaluation: Evaluation) -> None:
    task = evaluation.bundle.tasks[0]
    game = attribute(evaluation.answers, task).complete()
    scatter, ranks = draw_agreement(game, 0.5).axes
    drawn = np.concatenate([line.get_ydata() for line in scatter.lines[:3]])
    assert sorted(drawn) == pytest.approx(sorted(game.shapley_EM.ravel()))
    assert ranks.get_title(loc="left") == "mean 0.50"
    numbers = evaluation.trust["kind"]
    bars = draw_deletion(numbers).axes[0].patches
    assert [bar.get_width() for bar in bars] == [  # type: ignore[attr-defined]
        numbers["drop_most"], numbers["drop_random"], numbers["drop_least"],
    ]  # fmt: skip
    uses = use_by_class(evaluation.answers, task)
    left, right = draw_use(uses).axes
    assert len(left.texts) == len(right.texts) == 3 * len(uses)
    assert left.texts[0].get_text() == f"{uses[0].attention['text']:.2f}"


def test_every_order_is_drawn_going_and_coming_with_its_areas(evaluation: Evaluation) -> None:
    removals = evaluation.removals["kind"]
    deletion, insertion = draw_removal(removals).axes
    for axes, curves in (
        (deletion, [each.deletion for each in removals.orders]),
        (insertion, [each.insertion for each in removals.orders]),
    ):
        assert [tuple(line.get_ydata()) for line in axes.lines] == curves
        assert tuple(axes.lines[0].get_xdata()) == removals.shares
    names = [text.get_text() for text in deletion.get_legend().get_texts()]  # type: ignore[union-attr]
    assert names[0] == f"attention: {removals.orders[0].deletion_area:.2f}"
    assert len({line.get_marker() for line in deletion.lines}) == 4


def test_the_best_epoch_is_the_one_with_the_star() -> None:
    history = [
        EpochRecord(epoch=n, loss=1.0, validation=v, learning_rate=0.1, seconds=8.0, data_share=0.25)
        for n, v in ((1, 0.2), (2, 0.9), (3, 0.5))
    ]
    figure = draw_training(history)
    star = figure.axes[1].lines[1]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 0.9)
    waiting = figure.axes[3].patches[3]
    assert waiting.get_height() == pytest.approx(2.0)  # type: ignore[attr-defined]


def test_times_are_measured_for_every_subset_and_drawn_as_ratios(evaluation: Evaluation) -> None:
    examples = [evaluation.dataset[i].inputs for i in range(len(evaluation.dataset))]
    times_ms = time_subsets(evaluation.session, examples)
    assert list(times_ms)[-1] == "text+image+audio"
    assert len(times_ms) == 7
    assert min(times_ms.values()) > 0
    bars = draw_times({"text": 1.0, "text+image": 4.0}).axes[0].patches
    assert [bar.get_width() for bar in bars] == [0.25, 1.0]  # type: ignore[attr-defined]
    assert time_subsets(evaluation.session, []) == {}
    assert (peak_memory_bytes() or 10**8) > 10**7


def test_media_differ_in_brightness_and_marker() -> None:
    styles = [medium.style for medium in MEDIA]
    greys = sorted(sum(np.array(to_rgb(style.colour)) * (0.299, 0.587, 0.114)) for style in styles)
    assert min(np.diff(greys)) > 0.2
    assert len({style.marker for style in styles}) == len(MEDIA)


def test_charts_are_the_same_file_each_time_and_survive_any_label() -> None:
    def png() -> bytes:
        with drawing():
            figure, [axes] = new_figure(2, 1)
            axes.set_title("$\\frac{ 声音 \U0001f41f \U000f0000")  # the last has no glyph anywhere
            return to_png(figure)

    assert png() == png()
    with Image.open(io.BytesIO(png())) as image:
        assert image.size == (288, 144)


@pytest.mark.parametrize(
    ("values", "places"),
    [([0.5, 0.1], 2), ([0.004], 4), ([1.0], 2), ([53.0], 0), ([4.2], 1), ([], 2), ([0], 2)],
)
def test_numbers_have_as_many_decimals_as_tell_them_apart(values: list[float], places: int) -> None:
    assert decimals(values) == places


def test_long_labels_are_cut_off() -> None:
    assert shorten("twelve chars", 12) == "twelve chars"
    assert shorten("thirteen chars", 12) == "thirteen ch…"
