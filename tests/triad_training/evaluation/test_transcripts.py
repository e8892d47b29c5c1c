"""Error rates by hand, and probabilities that become honest."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from triad_serving.contract.tasks import Task
from triad_serving.inference.transcribe.decoder import Decoder
from triad_training.evaluation.bootstrap import score_interval
from triad_training.evaluation.metrics import score_task
from triad_training.evaluation.transcripts import (
    SpokenRows,
    calibrate_transcript,
    find_edits,
    largest_difference,
    right_symbols,
    score_while_learning,
    scores_of,
    spoken_rows,
    transcribe,
    transcribe_again,
)

SAID = Task(name="said", type="transcript", labels=("four", "one", "six"))
LETTERS = Task(name="said", type="transcript", labels=("a", "b"), joiner="")


def logits_of(path: list[int], sure: float = 6.0, outputs: int = 4) -> np.ndarray:
    """One moment for each output of a path."""
    return (sure * np.eye(outputs)[np.array(path, dtype=int)]).astype(np.float32)


def heard(*paths: list[int] | None, task: Task = SAID, sure: float = 6.0) -> SpokenRows:
    rows = [logits_of(path or [], sure, task.outputs) for path in paths]
    return transcribe(rows, Decoder(task))


TARGETS = np.array([[1, 2, 3], [2, 0, 0], [3, 0, 0], [math.nan] * 3], dtype=np.float32)


def test_error_rates_are_edits_over_what_was_said() -> None:
    """four one six heard as four six (1 of 3); one as one one (1 of 1); the third has no sound."""
    scores = score_task(SAID, heard([1, 0, 3], [2, 0, 2], None, [1]), TARGETS)
    assert scores["examples"] == 2
    assert scores["symbol_accuracy"] == pytest.approx(1 - 2 / 4)
    assert scores["wer"] == pytest.approx(2 / 4)
    # "four one six" to "four six" takes 4 edits of 12 characters, "one" to "one one" 4 of 3.
    assert scores["cer"] == pytest.approx(8 / 15)
    assert scores["exact"] == 0


def test_what_is_heard_too_much_costs_no_less_than_everything() -> None:
    scores = score_task(SAID, heard([1, 0, 1, 0, 1]), TARGETS[1:2])
    assert scores["symbol_accuracy"] == 0
    assert scores["wer"] == 3


def test_nothing_is_scored_without_a_sound_or_a_label() -> None:
    assert score_task(SAID, heard(None, [1]), TARGETS[[0, 3]]) == {}
    assert spoken_rows(heard(None, [1], [1]), TARGETS[[0, 3, 1]]).tolist() == [2]


def test_words_are_counted_where_there_are_any() -> None:
    assert scores_of(LETTERS) == ("symbol_accuracy", "cer")
    assert scores_of(dataclasses.replace(LETTERS, labels=("a", " "))) == ("symbol_accuracy", "wer", "cer")


def test_edits_say_what_was_taken_for_what() -> None:
    spoken = heard([1, 0, 3], [2, 0, 1])
    assert right_symbols(spoken[0], TARGETS[0]).tolist() == [True, True]
    assert right_symbols(spoken[1], TARGETS[1]).tolist() == [True, False]
    edits = find_edits(SAID, spoken, TARGETS[:2])
    assert edits.taken == {("one", ""): 1, ("", "four"): 1}
    assert edits.said == {"four": 1, "one": 2, "six": 1}
    assert edits.right == {"four": 1, "one": 1, "six": 1}


def test_a_symbol_that_is_not_known_is_an_error() -> None:
    scores = score_task(SAID, heard([2]), np.array([[4.0]], dtype=np.float32))
    assert scores["symbol_accuracy"] == 0


def test_the_first_epochs_are_told_apart_by_how_likely_the_truth_is() -> None:
    """Both hear nothing; one nearly does."""
    none, nearly = logits_of([0, 0, 0, 0]), logits_of([0, 0, 0, 0])
    nearly[1, 2] = 5.0
    scores = [
        score_while_learning(SAID, transcribe([each], Decoder(SAID)), TARGETS[1:2]) for each in (none, nearly)
    ]
    assert scores[0] is not None
    assert scores[1] is not None
    assert 0 <= scores[0] < scores[1] < 1e-3
    assert score_while_learning(SAID, heard(None), TARGETS[1:2]) is None


def test_the_interval_holds_the_score_and_draws_groups_together() -> None:
    spoken = heard(*[[1] if n % 4 else [2] for n in range(40)])
    targets = np.full((40, 1), 1, dtype=np.float32)
    one_by_one = score_interval(SAID, spoken, targets)
    grouped = score_interval(SAID, spoken, targets, np.arange(40) % 4)
    assert one_by_one is not None
    assert grouped is not None
    assert one_by_one.value == pytest.approx(0.75)
    assert one_by_one.low < 0.75 < one_by_one.high
    assert grouped.high - grouped.low > one_by_one.high - one_by_one.low
    errors = score_interval(SAID, spoken, targets, score="wer")
    assert errors is not None
    assert errors.ends == pytest.approx((1 - one_by_one.high, 1 - one_by_one.low))


def test_transcripts_without_an_edit_have_an_interval_all_the_same() -> None:
    spoken, targets = heard(*[[1]] * 20), np.full((20, 1), 1, dtype=np.float32)
    right, wrong = (score_interval(SAID, spoken, targets, score=score) for score in ("", "wer"))
    assert right is not None
    assert wrong is not None
    assert right.ends == pytest.approx((1 / (1 + 1.96**2 / 20), 1))  # Wilson's, of 20 rows
    assert wrong.ends == pytest.approx((0, 1 - right.low))


def test_probabilities_that_are_too_sure_become_honest() -> None:
    """Right in 7 of 10, always sure by 0.99."""
    spoken = heard(*[[1] if n % 10 < 7 else [2] for n in range(200)])
    targets = np.full((200, 1), 1, dtype=np.float32)
    assert score_task(SAID, spoken, targets)["ece"] > 0.25
    task = calibrate_transcript(SAID, spoken, targets, Decoder)
    assert task.temperature > 2
    again = transcribe_again(spoken, Decoder(task))
    scores = score_task(task, again, targets)
    assert scores["ece"] < 0.03
    assert scores["symbol_ece"] < 0.03
    assert again[0].heard.probability == pytest.approx(0.7, abs=0.03)


def test_rows_that_cannot_be_said_leave_the_temperature_alone() -> None:
    """Three symbols in two moments; a symbol that is not known."""
    spoken = heard([1, 2], [1])
    task = calibrate_transcript(SAID, spoken, np.array([[1, 2, 3], [4, 0, 0]], dtype=np.float32), Decoder)
    assert task.temperature == 1.0


def test_another_transcript_is_as_far_away_as_can_be() -> None:
    assert largest_difference(heard([1]), heard([2])) == 1.0
    assert 0 < largest_difference(heard([1]), heard([1], sure=5.0)) < 0.1
    assert largest_difference(heard(None), heard(None)) == 0.0
