"""How good the answers are: per task and per subset of the media, and how honest their probabilities.

Shape letters: N rows, K outputs of a task, M media.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
)

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.outputs import MediumName, media_subsets
from triad_serving.contract.tasks import Task
from triad_serving.inference.postprocess import holding, probabilities
from triad_serving.inference.transcribe.decoder import Decoder
from triad_serving.media.example import ModelInputs
from triad_training.data.dataset import LabelledInputs
from triad_training.evaluation.transcripts import (
    calibrate_transcript,
    score_transcripts,
    score_while_learning,
    spoken_rows,
    sureness_of_rows,
    sureness_of_symbols,
)

Scores = dict[str, dict[str, dict[str, float]]]  # subset of media -> task -> score -> value
Logits: TypeAlias = npt.NDArray[Any]  # [N, K]; of a transcript [N], see transcripts.SpokenRows
MAIN_SCORE = {
    "classification": "accuracy",
    "multilabel": "f1",
    "regression": "r2",
    "transcript": "symbol_accuracy",
}
SCORE_NAMES = {  # where they differ
    "f1": "F1",
    "r2": "R²",
    "ece": "calibration error",
    "mae": "mean error",
    "symbol_accuracy": "symbol accuracy",
    "wer": "word error rate",
    "cer": "character error rate",
    "exact": "all of it right",
    "symbol_ece": "calibration error of symbols",
}
CALIBRATION_BINS = 15  # Guo et al. 2017, arXiv:1706.04599


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """The model's answers over a split, one row per example and subset of its media, smallest subset first.

    example_N: which example each row asks about, from 0. subsets_N: name of each row's subset.
    logits: by task, see Logits. attention: by task, what each of the model's `media` got, [N, M].
    targets: by task, [N] or [N, K]; see data/labels.py.
    """

    media: tuple[MediumName, ...]
    example_N: I64
    subsets_N: npt.NDArray[np.str_]
    logits: Mapping[str, Logits]
    attention: Mapping[str, F32]
    targets: Mapping[str, F32]

    def whole_rows(self) -> I64:
        """Where each example's row with all its media stands: the last of its rows, [E]."""
        return np.flatnonzero(np.diff(self.example_N, append=-1))


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchAnswers:
    """logits and attention of one batch, as in Answers."""

    logits: Mapping[str, Logits]
    attention: Mapping[str, F32]


def answer_subsets(
    run: Callable[[list[ModelInputs]], BatchAnswers],
    batches: Iterable[Sequence[LabelledInputs]],
    tasks: Sequence[Task],
    *,
    media: Sequence[MediumName],
) -> Answers:
    """Asks for every subset of every example's media; each medium is encoded once for all of them.

    media: those that the model reads.
    """
    asked: list[int] = []
    subsets: list[str] = []
    logits: dict[str, list[Logits]] = {task.name: [] for task in tasks}
    attention: dict[str, list[F32]] = {task.name: [] for task in tasks}
    labels: dict[str, list[F32]] = {task.name: [] for task in tasks}
    for examples in batches:
        first = asked[-1] + 1 if asked else 0
        asks = [media_subsets(example.inputs.media) for example in examples]
        asked += [n for n, of_example in enumerate(asks, start=first) for _ in of_example]
        rows = [(example, subset) for example, each in zip(examples, asks, strict=True) for subset in each]
        subsets += ["+".join(subset) for _, subset in rows]
        outputs = run([example.inputs.only(*subset) for example, subset in rows])
        for task in tasks:
            logits[task.name].append(outputs.logits[task.name])
            attention[task.name].append(outputs.attention[task.name])
            labels[task.name].append(np.stack([example.targets[task.name] for example, _ in rows]))
    return Answers(
        media=tuple(media),
        example_N=np.array(asked, dtype=np.int64),
        subsets_N=np.array(subsets),
        logits={name: np.concatenate(parts) for name, parts in logits.items()},
        attention={name: np.concatenate(parts) for name, parts in attention.items()},
        targets={name: np.concatenate(parts) for name, parts in labels.items()},
    )


def rows_by_subset(answers: Answers) -> dict[str, npt.NDArray[np.bool_]]:
    """Which rows, [N], ask with each subset of the media that occurs; smallest first."""
    names = sorted(set(answers.subsets_N.tolist()), key=lambda name: (name.count("+"), name))
    return {name: answers.subsets_N == name for name in names}


def score_subsets(answers: Answers, tasks: Sequence[Task]) -> Scores:
    """Scores of every subset that occurs and every task that is labelled in it."""
    scores: Scores = {}
    for subset, chosen in rows_by_subset(answers).items():
        scores[subset] = {
            task.name: found
            for task in tasks
            if (
                found := score_task(
                    task, answers.logits[task.name][chosen], answers.targets[task.name][chosen]
                )
            )
        }
    return scores


def score_task(task: Task, logits_NK: Logits, targets: F32) -> dict[str, float]:
    """Scores of the labelled rows, and how many they are; nothing where there is none.

    Of a transcript, of those that have a sound.
    """
    if task.type == "transcript":
        rows = spoken_rows(logits_NK, targets)
        return _score_transcripts(task, logits_NK[rows], targets[rows]) if len(rows) else {}
    labelled = labelled_rows(targets)
    logits_NK, targets = logits_NK[labelled], targets[labelled]
    if not len(targets):
        return {}
    scores = {"examples": float(len(targets))}
    if task.type == "regression":
        scores["mae"] = float(mean_absolute_error(targets, logits_NK[:, 0]))
        if len(targets) > 1:
            scores["r2"] = float(r2_score(targets, logits_NK[:, 0]))
        return scores
    probability_NK = probabilities(logits_NK, task)
    truth, answer = targets.astype(int), decisions(task, probability_NK).astype(int)
    present = (
        np.unique(truth) if task.type == "classification" else None
    )  # classes without a row do not count
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, answer, labels=present, average="macro", zero_division=0
    )
    return scores | {
        "accuracy": float(accuracy_score(truth, answer)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "ece": calibration_error(*confidences(task, probability_NK, targets)),
    }


def _score_transcripts(task: Task, spoken_N: Logits, targets_NL: F32) -> dict[str, float]:
    found = {"examples": float(len(spoken_N)), **score_transcripts(task, spoken_N, targets_NL)}
    whole, each = sureness_of_rows(spoken_N, targets_NL), sureness_of_symbols(spoken_N, targets_NL)
    if np.isnan(whole.confidence_N).any():  # as_heard does not ask
        return found
    symbol_ece = calibration_error(*each) if len(each.right_N) else 0.0
    return found | {"ece": calibration_error(*whole), "symbol_ece": symbol_ece}


def decisions(task: Task, probability_NK: F32) -> F32:
    """What is answered: the likeliest class, [N]; the tags above their thresholds, [N, K]; the value, [N].

    Not of a transcript.
    """
    match task.type:
        case "transcript":
            raise AssertionError("has no one answer")
        case "classification":
            return np.asarray(probability_NK.argmax(axis=1), dtype=np.float32)
        case "multilabel":
            return holding(probability_NK, task).astype(np.float32)
        case "regression":
            return np.asarray(probability_NK[:, 0])


def confidences(task: Task, probability_NK: F32, targets: F32) -> tuple[F32, npt.NDArray[np.bool_]]:
    """The probability of every decision, of each tag alone, and whether it was right."""
    decided = decisions(task, probability_NK)
    if task.type == "classification":
        return probability_NK.max(axis=1), decided == targets
    return np.where(decided == 1, probability_NK, 1 - probability_NK).ravel(), (decided == targets).ravel()


def labelled_rows(targets: F32) -> npt.NDArray[np.bool_]:
    """Which rows have a target, [N]."""
    missing = np.isnan(targets)
    return ~(missing if missing.ndim == 1 else np.asarray(missing.any(axis=1)))


def calibration_error(confidence_N: npt.NDArray[np.floating], right_N: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error over equal bins of confidence (Guo et al. 2017, arXiv:1706.04599, eq. 3)."""
    bin_N = np.clip((confidence_N * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    gaps = [
        abs(float(np.sum(confidence_N[bin_N == b]) - np.sum(right_N[bin_N == b])))
        for b in range(CALIBRATION_BINS)
    ]
    return sum(gaps) / len(confidence_N)


def calibrate(answers: Answers, tasks: Sequence[Task], folder: Path = Path()) -> tuple[Task, ...]:
    """The tasks with the temperature that makes these answers likeliest, over all subsets of media at once.

    folder: where the files lie that transcripts are decoded by.
    Source: temperature scaling, Guo et al. 2017 (arXiv:1706.04599, section 4.2).
    """
    return tuple(_calibrated(task, answers, folder) for task in tasks)


def _calibrated(task: Task, answers: Answers, folder: Path) -> Task:
    match task.type:
        case "regression":
            return task
        case "transcript":
            rows, targets = answers.logits[task.name], answers.targets[task.name]
            return calibrate_transcript(task, rows, targets, lambda own: Decoder.open(own, folder))
        case "classification" | "multilabel":
            return dataclasses.replace(task, temperature=_temperature(task, answers))


def mean_score(answers: Answers, tasks: Sequence[Task], *, balanced: Collection[str] = ()) -> float:
    """One number to stop early by, averaged over subsets and tasks: accuracy, average precision, R2, symbols.

    Of tags it is the mean average precision: thresholds are not fitted yet, and F1 at 0.5 judges how high the
    probabilities are rather than how well they rank. Choosing one of 12 noisy models of 18 tags on 90 rows by
    F1 at 0.5 cost 4.2 points of test F1 against the best of them, by average precision 2.1, by F1 at
    thresholds fitted on the same rows 1.9 (standard error of the difference 0.6).
    balanced: tasks of uneven classes; F1 counts there, as always answering the most frequent is often right.
    """
    found = [
        score
        for chosen in rows_by_subset(answers).values()
        for task in tasks
        for logits_NK, targets in [(answers.logits[task.name][chosen], answers.targets[task.name][chosen])]
        for score in [_score_to_stop_by(task, logits_NK, targets, balanced=task.name in balanced)]
        if score is not None
    ]
    return float(np.mean(found)) if found else -math.inf


def _score_to_stop_by(task: Task, logits_NK: Logits, targets: F32, *, balanced: bool) -> float | None:
    match task.type:
        case "multilabel":
            return mean_average_precision(logits_NK, targets)
        case "transcript":
            return score_while_learning(task, logits_NK, targets)
        case "classification" | "regression":
            return score_task(task, logits_NK, targets).get("f1" if balanced else MAIN_SCORE[task.type])


def mean_average_precision(logits_NK: F32, targets_NK: F32) -> float | None:
    """Over the tags that a labelled row has; None where there is none."""
    labelled = labelled_rows(targets_NK)
    columns = zip(targets_NK[labelled].T, logits_NK[labelled].T, strict=True)
    found = [average_precision_score(true_N, logit_N) for true_N, logit_N in columns if true_N.any()]
    return float(np.mean(found)) if found else None


def _temperature(task: Task, answers: Answers) -> float:
    labelled = labelled_rows(answers.targets[task.name])
    logits_NK, targets = answers.logits[task.name][labelled], answers.targets[task.name][labelled]
    if not len(targets):
        return 1.0

    def loss(log_temperature: float) -> float:
        tempered = dataclasses.replace(task, temperature=math.exp(log_temperature))
        probability = np.clip(probabilities(logits_NK, tempered), 1e-12, 1 - 1e-7)
        if task.type == "classification":
            return -float(np.log(probability[np.arange(len(targets)), targets.astype(int)]).mean())
        return -float(np.where(targets == 1, np.log(probability), np.log1p(-probability)).mean())

    found = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded")
    return math.exp(found.x)
