"""Counts of a table made by hand."""

from __future__ import annotations

from tests.triad_training.evaluation.report.conftest import AWKWARD, CONFIG
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.report.rows import count_rows, draw_labels, draw_lengths, open_sample


def test_rows_media_and_labels_are_counted_by_split(evaluation: Evaluation) -> None:
    train, test = count_rows(evaluation.examples, CONFIG, evaluation.bundle.tasks)
    assert (train.split, train.rows, test.split, test.rows) == ("train", 1, "test", 6)
    assert test.media == {"text": 6, "image": 6, "audio": 5}
    assert test.labelled == {"kind": 5, "tags": 5, "size": 6}
    assert test.classes["kind"] == {"word": 1, "picture": 3, AWKWARD: 1}
    assert test.classes["tags"] == {"seen": 4, "spoken": 1}
    assert "size" not in test.classes


def test_shares_of_labels_are_drawn_by_split(evaluation: Evaluation) -> None:
    task = evaluation.bundle.tasks[0]
    counted = count_rows(evaluation.examples, CONFIG, evaluation.bundle.tasks)
    train, test = draw_labels(task, counted).axes[0].lines
    assert sorted(train.get_xdata()) == [0, 0, 1]
    assert sorted(test.get_xdata()) == [0.2, 0.2, 0.6]


def test_lengths_are_drawn_for_media_that_occur(evaluation: Evaluation) -> None:
    opened = open_sample(evaluation.dataset, evaluation.examples)
    assert {split: len(each) for split, each in opened.items()} == {"train": 1, "test": 6}
    figure = draw_lengths(opened)
    assert figure is not None
    assert len(figure.axes) == 3
    texts = draw_lengths({split: [each.only("text") for each in inputs] for split, inputs in opened.items()})
    assert texts is not None
    assert [axes.get_xlabel() for axes in texts.axes] == ["tokens of a text"]
    assert draw_lengths({"test": []}) is None
