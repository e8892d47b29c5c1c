"""Sentences of the first screen: each comes where there is cause, and stays away where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.triad_training.evaluation.report.conftest import AWKWARD, CONFIG
from triad_training.config.train_config import OptimConfig
from triad_training.evaluation.bootstrap import Interval
from triad_training.evaluation.breakdown import Breakdown, Reliability
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.history import EpochRecord
from triad_training.evaluation.report.advice import advise
from triad_training.evaluation.report.findings import (
    describe_attention,
    find_good,
    find_weak,
    headline,
)

NUMBERS = {"examples": 9.0, "tied": 0.0, "drop_most": 0.4, "drop_random": 0.2, "drop_least": 0.05}


def with_scores(evaluation: Evaluation, **accuracy: float) -> Evaluation:
    """The evaluation with other accuracies of `kind`; names of subsets have _ for +."""
    scores = {
        name.replace("_", "+"): {"kind": {"examples": 1000.0, "accuracy": value}}
        for name, value in accuracy.items()
    }
    return replace(evaluation, scores=scores)


def test_a_headline_says_what_answering_without_looking_would_get(evaluation: Evaluation) -> None:
    found = headline(evaluation.breakdowns["kind"])
    assert (found.score, found.name) == ("60.0 %", "accuracy")  # 3 of 5, two of them pictures
    assert found.beside.endswith(
        ", 5 rows; without looking 20.0 %"
    )  # one is a word, the commonest of training
    number = headline(evaluation.breakdowns["size"])
    assert number.name == "mean error"
    assert "without looking 1.92" in number.beside  # |5 5 4 5 4.5 6 - 3|
    assert headline(evaluation.breakdowns["tags"]).name == "F1, mean over tags"


def test_honest_probabilities_are_told_from_those_too_high_and_too_low(evaluation: Evaluation) -> None:
    def sentence(confidence: float, right: float) -> str:
        bins = Reliability(
            confidence_Q=np.array([confidence]), right_Q=np.array([right]), count_Q=np.array([100])
        )
        scores = {"examples": 100.0, "accuracy": right, "ece": abs(confidence - right)}
        return list(find_good(replace(evaluation.breakdowns["kind"], scores=scores, reliability=bins)))[1]

    assert "are too high (calibration error 20.0 %)" in sentence(0.9, 0.7)
    assert "are too low" in sentence(0.7, 0.9)
    assert "taken at their word" in sentence(0.9, 0.91)


def test_a_headline_says_how_sure_it_is(evaluation: Evaluation) -> None:
    sure = replace(evaluation.breakdowns["kind"], interval=Interval(value=0.6, low=0.55, high=0.661))
    assert headline(sure).beside.startswith("95 % interval 55.0 to 66.1 %, 5 rows; ")
    assert "95 %" not in headline(replace(sure, interval=None)).beside


def test_what_abstaining_costs_and_gains_is_said(evaluation: Evaluation) -> None:
    breakdown = evaluation.breakdowns["kind"]
    careful = replace(breakdown, task=replace(breakdown.task, abstain_below=0.8), abstained=(0.25, 0.9))
    expected = (
        "kind: less sure than 0.8 it abstains, in 25.0 % of the rows; of its other answers 90.0 % are right."
    )
    assert expected in list(find_good(careful))
    assert "abstains" not in "".join(find_good(breakdown))


def test_the_class_that_is_missed_most_is_named_with_what_it_is_taken_for(evaluation: Evaluation) -> None:
    weak = "\n".join(find_weak(evaluation))
    assert "kind: 'word' is missed most: 100.0 % of its rows, most often taken for 'picture'." in weak
    right = evaluation.breakdowns["kind"].classes | {
        label: {"recall": 1.0, "precision": 1.0, "f1": 1.0, "examples": 2.0} for label in ("word", AWKWARD)
    }
    breakdowns = {"kind": replace(evaluation.breakdowns["kind"], classes=right)}
    assert "missed" not in "\n".join(find_weak(replace(evaluation, breakdowns=breakdowns)))


def test_a_whole_that_does_worse_than_its_part_is_named_where_that_is_no_chance(
    evaluation: Evaluation,
) -> None:
    def weak(**accuracy: float) -> str:
        only = {"kind": evaluation.breakdowns["kind"]}
        return "\n".join(find_weak(replace(with_scores(evaluation, **accuracy), breakdowns=only, curves=())))

    assert "audio (0.900) beats image + audio (0.850)" in weak(audio=0.9, image_audio=0.85)
    assert "disturb" not in weak(audio=0.9, image_audio=0.89)
    assert "weakest with image only (accuracy 0.500)" in weak(audio=0.9, image=0.5, image_audio=0.95)
    assert "weakest" not in weak(audio=0.93, image=0.92, image_audio=0.95)


def test_the_costliest_corruption_is_named(evaluation: Evaluation) -> None:
    [sentence] = [each for each in find_weak(evaluation) if "falls" in each]
    assert sentence.startswith("size: R² falls from -0.775 to -13.8")
    assert sentence.endswith("under sound noise at 10 dB.")


@pytest.mark.parametrize(("correlation", "verdict"), [(0.9, "yes"), (0.6, "roughly"), (0.2, "no")])
def test_attention_gets_a_verdict(correlation: float, verdict: str) -> None:
    [sentence] = describe_attention("kind", NUMBERS | {"spearman": correlation})
    assert sentence.startswith(f"kind: {verdict}. ")
    assert "falls by 0.40, without the least attended one by 0.05" in sentence


def test_attention_over_media_that_replace_each_other_is_no_matter() -> None:
    [sentence] = describe_attention("kind", NUMBERS | {"spearman": -0.2, "drop_most": 0.001})
    assert "no single medium is needed" in sentence
    assert "nothing to rank" in next(describe_attention("kind", NUMBERS))


def advice(evaluation: Evaluation, history: list[EpochRecord], epochs: int = 3, alignment: float = 0) -> str:
    optim = OptimConfig(epochs=epochs, alignment=alignment)
    return "\n".join(advise(evaluation, history, CONFIG.model_copy(update={"optim": optim})))


def record(epoch: int, validation: float, data_share: float = 0.0) -> EpochRecord:
    return EpochRecord(
        epoch=epoch, loss=1.0, validation=validation, learning_rate=0.1, seconds=1.0, data_share=data_share
    )


def test_training_that_ended_while_it_improved_should_go_on(evaluation: Evaluation) -> None:
    rising = [record(1, 0.1), record(2, 0.2), record(3, 0.3)]
    assert "the last of 3 epochs was the best" in advice(evaluation, rising)
    assert "was the best" not in advice(evaluation, [*rising, record(4, 0.25)], 4)
    assert "was the best" not in advice(evaluation, rising, 10)


def test_training_that_waits_for_data_should_be_fed(evaluation: Evaluation) -> None:
    assert "50.0 % of the steps' time was waiting for data" in advice(evaluation, [record(1, 0.1, 0.5)])
    assert "waiting" not in advice(evaluation, [record(1, 0.1, 0.1)])


def test_attention_that_misleads_should_be_aligned(evaluation: Evaluation) -> None:
    trust = {
        task: NUMBERS | {"spearman": value} for task, value in (("kind", 0.1), ("tags", 0.9), ("size", 0.2))
    }
    judged = replace(evaluation, trust=trust)
    expected = "To show the attention of kind, size as an explanation, train with optim.alignment."
    assert expected in advice(judged, [])
    assert "raise optim.alignment" in advice(judged, [], alignment=0.1)


def test_a_rare_class_that_is_missed_should_be_collected(evaluation: Evaluation) -> None:
    template = next(example for example in evaluation.examples if example.split == "train")
    training = [
        replace(template, labels={"kind": label}) for label in ["picture"] * 9 + [AWKWARD] * 8 + ["word"]
    ]
    found = advice(replace(evaluation, examples=training), [])
    assert "collect more of 'word': it has 1 training rows where 8 are usual" in found


def test_unlabelled_tasks_and_few_rows_are_named(evaluation: Evaluation) -> None:
    breakdowns: dict[str, Breakdown] = {"kind": evaluation.breakdowns["kind"]}
    found = advice(replace(evaluation, breakdowns=breakdowns), [])
    assert "for tags, size: unjudged so far" in found
    assert "Collect more rows to judge by: 6 make rough scores" in found
