"""Curves of the tiny model, computed by hand; and of one that was trained."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.triad_training.conftest import table_folder
from tests.triad_training.evaluation.report.conftest import PRIORS, judge
from triad_serving.inference.bundle import Bundle
from triad_training.evaluation.evaluate import Evaluation, evaluate_bundle
from triad_training.evaluation.removal import (
    MOST_PARTS,
    ORDERS,
    SHARES,
    Removal,
    measure_removal,
    removal_table,
)

PRIOR = PRIORS["kind"][0]


def kind(evaluation: Evaluation) -> dict[str, Removal]:
    removals = measure_removal(evaluation.session, evaluation.dataset, evaluation.bundle.tasks)
    return {each.order: each for each in removals["kind"].orders}


def p(*logits: float) -> float:
    """Of the first class; the tiny model of the report has a temperature of 0.5."""
    exp = [math.exp(logit / 0.5) for logit in logits]
    return exp[0] / sum(exp)


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """One text of three words, of ids 2, 3 and 4: t = 0.9, its words all alike to attention."""
    row = {"text": "seven 七 three", "kind": "word", "split": "test"}
    train = {"text": "hello", "kind": "word", "split": "train"}
    return judge(tmp_path_factory.mktemp("worded"), [row, train], thorough=False)


def test_words_go_in_order_of_their_drop_and_come_back_in_it(worded: Evaluation) -> None:
    """Of three parts, shares of a tenth each make 0 0 1 1 1 2 2 2 2 3 3."""
    by_drop = kind(worded)["occlusion"]
    whole, without_4, without_4_3 = p(0.9, 0, 0), p(0.5, 0, 0), p(0.2, 0, 0)
    only_4, only_4_3 = p(0.4, 0, 0), p(0.7, 0, 0)
    assert by_drop.deletion == pytest.approx([whole] * 2 + [without_4] * 3 + [without_4_3] * 4 + [PRIOR] * 2)
    assert by_drop.insertion == pytest.approx([PRIOR] * 2 + [only_4] * 3 + [only_4_3] * 4 + [whole] * 2)
    assert by_drop.deletion_area == pytest.approx(np.trapezoid(by_drop.deletion, dx=0.1))
    assert by_drop.insertion_area == pytest.approx(np.trapezoid(by_drop.insertion, dx=0.1))


def test_a_medium_of_more_shapley_value_goes_first(tmp_path: Path) -> None:
    """The word speaks for its class, the picture, of one cell brighter than none, against it."""
    row = {"text": "three three three", "image": "10.png", "kind": "word", "split": "test"}
    train = {"text": "hello", "kind": "word", "split": "train"}
    found = kind(judge(tmp_path, [row, train], thorough=False))["shapley"]
    i = 4 * 10 / 255
    assert found.deletion[0] == pytest.approx(p(1.2, i, 0))
    assert found.deletion[SHARES.index(0.4)] == pytest.approx(p(0, i, 0))  # all three words of seven parts
    assert found.insertion[SHARES.index(0.4)] == pytest.approx(p(1.2, 0, 0))


def test_every_order_begins_with_the_whole_and_ends_with_the_prior(worded: Evaluation) -> None:
    for each in kind(worded).values():
        assert each.deletion[0] == each.insertion[-1] == pytest.approx(p(0.9, 0, 0))
        assert each.deletion[-1] == each.insertion[0] == PRIOR
        assert len(each.deletion) == len(each.insertion) == len(SHARES)


def test_a_sample_is_drawn_and_is_the_same_each_time(worded: Evaluation, tmp_path: Path) -> None:
    rows = [{"text": "seven 七 three", "kind": "word", "split": "test"} for _ in range(6)]
    many = judge(tmp_path, [*rows, {"text": "hello", "kind": "word", "split": "train"}], thorough=False)
    one, other = (
        measure_removal(many.session, many.dataset, many.bundle.tasks, sample=4)["kind"] for _ in range(2)
    )
    assert one == other
    assert one.examples == 4
    assert MOST_PARTS >= 3
    assert dict(zip(ORDERS, one.orders, strict=True))["occlusion"] == kind(worded)["occlusion"]


def test_without_a_probability_or_a_prior_nothing_is_measured(worded: Evaluation) -> None:
    tasks = worded.bundle.tasks
    assert set(measure_removal(worded.session, worded.dataset, tasks)) == {"kind", "tags"}
    assert measure_removal(worded.session, worded.dataset, [tasks[2], replace(tasks[0], prior=())]) == {}
    assert removal_table({}) == ""


def test_what_matters_goes_before_what_does_not(toy_bundle: Bundle) -> None:
    table = table_folder(toy_bundle) / "metadata.csv"
    evaluation = evaluate_bundle(toy_bundle.path, table, removal=True)
    for removals in evaluation.removals.values():
        areas = {each.order: each for each in removals.orders}
        assert areas["occlusion"].deletion_area <= areas["random"].deletion_area + 0.02
        assert areas["occlusion"].insertion_area >= areas["random"].insertion_area - 0.02
    assert "| kind | 20 | attention |" in evaluation.table()
    assert json.loads(evaluation.json())["removal"]["kind"]["shares"] == list(SHARES)
