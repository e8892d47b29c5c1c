"""Attention against contributions that are known; ranks against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from triad_serving.contract.outputs import MediumName, media_subsets
from triad_serving.contract.tasks import Task
from triad_training.evaluation.attribution import attribute, compare_attention, spearman, trust_table
from triad_training.evaluation.metrics import Answers

NAMES = ("text", "image", "audio")

KIND = Task(name="kind", type="classification", labels=("a", "b"), prior=(0.25, 0.75))
TAGS = Task(name="tags", type="multilabel", labels=("x", "y"), prior=(0.2, 0.6))
SIZE = Task(name="size", type="regression", prior=(10.0,))


def f32(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def answers_of(
    task: Task, examples: list[tuple[tuple[MediumName, ...], dict[str, object], object]]
) -> Answers:
    """Each example: its media, the logits of each of its subsets by name, its target."""
    rows = [
        (n, "+".join(subset), logits["+".join(subset)], target)
        for n, (media, logits, target) in enumerate(examples)
        for subset in media_subsets(media)
    ]
    shares = [
        [(0.6, 0.3, 0.1)[m] * (medium in name) for m, medium in enumerate(NAMES)] for _, name, *_ in rows
    ]
    return Answers(
        media=NAMES,
        example_N=np.array([n for n, *_ in rows]),
        subsets_N=np.array([name for _, name, *_ in rows]),
        logits={task.name: f32([logits for *_, logits, _ in rows])},
        attention={task.name: f32([np.array(each) / sum(each) for each in shares])},
        targets={task.name: f32([target for *_, target in rows])},
    )


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def shown(probability_of_a: dict[str, float]) -> dict[str, object]:
    return {name: [logit(p), 0.0] for name, p in probability_of_a.items()}


FULL = shown(
    {"text": 0.6, "image": 0.4, "audio": 0.25, "text+image": 0.75, "text+audio": 0.6, "image+audio": 0.4}
    | {"text+image+audio": 0.75}
)  # text adds 0.35, image 0.15, sound nothing, to the prior of 0.25


def test_an_additive_classifier_gets_what_each_medium_adds_to_the_prior() -> None:
    answers = answers_of(KIND, [(NAMES, FULL, 1)])
    predicted = attribute(answers, KIND)
    assert predicted.shapley_EM == pytest.approx(np.array([[0.35, 0.15, 0.0]]))
    assert predicted.drop_EM == pytest.approx(np.array([[0.35, 0.15, 0.0]]))
    assert predicted.attention_EM == pytest.approx(np.array([[0.6, 0.3, 0.1]]))
    true = attribute(answers, KIND, label="true")  # b: whatever speaks for a speaks against it
    assert true.shapley_EM == pytest.approx(np.array([[-0.35, -0.15, 0.0]]))


def test_an_absent_medium_contributes_nothing() -> None:
    pair = shown({"text": 0.6, "audio": 0.5, "text+audio": 0.9})
    found = attribute(answers_of(KIND, [(("text", "audio"), pair, 0), (NAMES, FULL, math.nan)]), KIND)
    assert found.present_EM.tolist() == [[True, False, True], [True, True, True]]
    assert found.shapley_EM[0] == pytest.approx([(0.35 + 0.4) / 2, 0, (0.25 + 0.3) / 2])
    assert found.complete().rows_E.tolist() == [9]
    labelled = attribute(answers_of(KIND, [(NAMES, FULL, math.nan), (NAMES, FULL, 0)]), KIND, label="true")
    assert labelled.rows_E.tolist() == [13]


def test_tags_are_worth_the_mean_probability_of_what_is_decided_about_each() -> None:
    """x is decided present at 0.9, y absent at 0.3: worth (0.9 + 0.7) / 2, from (0.2 + 0.4) / 2."""
    answers = answers_of(TAGS, [(("image",), {"image": [logit(0.9), logit(0.3)]}, [1, 1])])
    assert attribute(answers, TAGS).shapley_EM == pytest.approx(np.array([[0, 0.8 - 0.3, 0]]))
    true = attribute(answers, TAGS, label="true")
    assert true.shapley_EM == pytest.approx(np.array([[0, (0.9 + 0.3) / 2 - (0.2 + 0.6) / 2, 0]]))


def test_a_regression_is_worth_its_value_and_a_drop_has_no_sign() -> None:
    logits: dict[str, object] = {
        "text": [8],
        "image": [11],
        "text+image": [9],
    }  # -2 and +1 from the mean of 10
    found = attribute(answers_of(SIZE, [(("text", "image"), logits, 9)]), SIZE)
    assert found.shapley_EM == pytest.approx(np.array([[-2, 1, 0]]))
    assert found.drop_EM == pytest.approx(np.array([[2, 1, 0]]))


def test_rank_correlations_are_those_of_scipy_and_noise_is_a_tie() -> None:
    rng = np.random.default_rng(0)
    attention_EM, phi_EM = rng.dirichlet(np.ones(3), 50), rng.choice([-0.1, 0.0, 0.2, 0.4], (50, 3))
    found_E = spearman(attention_EM, phi_EM)
    for attention_M, phi_M, found in zip(attention_EM, phi_EM, found_E, strict=True):
        if len(set(phi_M)) == 1:
            assert math.isnan(found)
        else:
            assert found == pytest.approx(spearmanr(attention_M, phi_M).statistic)
    assert math.isnan(spearman(attention_EM[:1], np.array([[0.3, 0.3 + 1e-9, 0.3 - 1e-9]]))[0])


def test_attention_is_judged_on_complete_examples_by_rank_and_by_deletion() -> None:
    pair = shown({"text": 0.1, "audio": 0.9, "text+audio": 0.9})
    answers = answers_of(KIND, [(NAMES, FULL, 1), (("text", "audio"), pair, 0)])
    assert compare_attention(answers, [KIND]) == {
        "kind": {
            "examples": 1,
            "tied": 0,
            "spearman": pytest.approx(1.0),
            "spearman_magnitude": pytest.approx(1.0),
            "spearman_true": pytest.approx(-1.0),
            "first": 1.0,
            "drop_most": pytest.approx(0.35),
            "drop_random": pytest.approx(0.5 / 3),
            "drop_least": pytest.approx(0.0),
        }
    }
    assert "| kind | 1 | 1.000 | 100.0 % | 0.350 | 0.167 | 0.000 |" in trust_table(
        compare_attention(answers, [KIND])
    )


def test_a_regression_is_ranked_by_magnitude() -> None:
    logits: dict[str, object] = {"text": [8], "image": [11], "text+image": [9]}
    numbers = compare_attention(answers_of(SIZE, [(("text", "image"), logits, 9)]), [SIZE])["size"]
    assert numbers["spearman"] == pytest.approx(1.0)
    assert "spearman_true" not in numbers


def test_where_there_is_no_choice_of_media_nothing_is_judged() -> None:
    lone = answers_of(KIND, [(("text",), {"text": [1.0, 0.0]}, 0)])
    assert compare_attention(lone, [KIND]) == {}
    assert trust_table({}) == ""
