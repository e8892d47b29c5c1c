"""What to do next, each piece of advice with the number that gave rise to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.attribution import use_by_class
from triad_training.evaluation.breakdown import Breakdown
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.history import EpochRecord
from triad_training.evaluation.report.findings import HONEST, MATTERS, TELLS, bias, percent

FEW_ROWS = 200
STARVED = 0.3  # share of step time spent waiting
RARE = 0.5  # of the median number of training rows per class


def advise(evaluation: Evaluation, history: Sequence[EpochRecord], config: TrainConfig) -> Iterator[str]:
    """history: of the training run, empty where only an evaluation is reported. config: of the bundle."""
    if history:
        yield from _about_training(history, config.optim.epochs)
    yield from _about_media(evaluation)
    for name, breakdown in evaluation.breakdowns.items():
        yield from _about_classes(evaluation, breakdown)
        if breakdown.scores.get("ece", 0) > HONEST and bias(breakdown) == "high":
            yield f"{name}: for honest probabilities calibrate on more validation rows, or smooth its labels."
    misled = [
        name
        for name, numbers in evaluation.trust.items()
        if numbers.get("spearman", 1) < TELLS and numbers["drop_most"] >= MATTERS
    ]
    if misled:
        cure = "raise" if config.optim.alignment else "train with"
        yield f"To show the attention of {', '.join(misled)} as an explanation, {cure} optim.alignment."
    rows = len(evaluation.dataset)
    if rows < FEW_ROWS:
        yield f"Collect more rows to judge by: {rows} make rough scores."
    unlabelled = [task.name for task in evaluation.bundle.tasks if task.name not in evaluation.breakdowns]
    if unlabelled:
        yield f"Label some rows of this split for {', '.join(unlabelled)}: unjudged so far."


def _about_training(history: Sequence[EpochRecord], epochs: int) -> Iterator[str]:
    best = max(history, key=lambda record: record.validation)
    if best.epoch == len(history) == epochs and epochs > 1:
        yield f"Train longer: the last of {epochs} epochs was the best (optim.epochs)."
    waited = sum(record.data_share for record in history) / len(history)
    if waited > STARVED:
        yield f"Feed it faster: {percent(waited)} of the steps' time was waiting for data (optim.workers)."


def _about_media(evaluation: Evaluation) -> Iterator[str]:
    """Media that add nothing to any task; not asked of regressions, whose values have no common scale, nor of
    transcripts, of which it is not known."""
    tasks = evaluation.bundle.tasks
    if any(task.type in ("regression", "transcript") for task in tasks):
        return
    whole = [uses[0].shapley for task in tasks if (uses := use_by_class(evaluation.answers, task))]
    for medium in whole[0] if whole and len(whole[0]) > 1 else ():
        most = max(abs(shapley[medium]) for shapley in whole)
        if most < MATTERS:
            yield f"Leave out the {medium}: it adds at most {most:.3f} to any answer."


def _about_classes(evaluation: Evaluation, breakdown: Breakdown) -> Iterator[str]:
    """The rare class that is missed most."""
    task = breakdown.task
    if task.type != "classification":
        return
    labels = [
        e.labels[task.name] for e in evaluation.examples if e.split == "train" and task.name in e.labels
    ]
    rows = Counter(labels)
    usual = median(rows[label] for label in task.labels)
    rare = {
        label: each["recall"]
        for label, each in breakdown.classes.items()
        if rows[label] < RARE * usual and each["examples"] and each["recall"] < breakdown.scores["recall"]
    }
    if rare:
        label = min(rare, key=lambda name: rare[name])
        yield (
            f"{task.name}: collect more of {label!r}: it has {rows[label]} training rows where {usual:g} "
            f"are usual, and {percent(1 - rare[label])} of its rows are missed."
        )
