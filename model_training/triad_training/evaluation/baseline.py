"""Linear models beside the network: what a team would have without it, judged on the same rows.

Of each medium alone and of all together: logistic or ridge regression on TF-IDF of words and of characters,
on colours and gradients, on statistics of the sound, on a pretrained encoder's mean, on fields; each with the
penalty that answers unseen training rows best, fused by weights that are solved for on such rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triad_serving.contract.arrays import I64
from triad_serving.contract.tasks import Task
from triad_training.config.train_config import TaskConfig
from triad_training.evaluation.bootstrap import Interval, paired_difference
from triad_training.evaluation.decision import decide
from triad_training.evaluation.metrics import (
    MAIN_SCORE,
    Answers,
    Scores,
    calibrate,
    labelled_rows,
    score_subsets,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """tasks: with the linear models' own temperatures and thresholds. test: their answers."""

    tasks: tuple[Task, ...]
    test: Answers

    @property
    def scores(self) -> Scores:
        return score_subsets(self.test, self.tasks)

    def differences(
        self, test: Answers, tasks: Sequence[Task], groups_E: I64 | None, configs: Mapping[str, TaskConfig]
    ) -> dict[str, Interval]:
        """How much better the network answers, all media of each test row; by task.

        test: its answers to the same rows. groups_E: of each example. Of uneven classes macro F1 counts.
        """
        whole_E = test.whole_rows()
        found = {}
        for task, own in zip(tasks, self.tasks, strict=True):
            targets = test.targets[task.name][whole_E]
            if labelled_rows(targets).any():
                found[task.name] = paired_difference(
                    task,
                    test.logits[task.name][whole_E],
                    self.test.logits[task.name][self.test.whole_rows()],
                    targets,
                    groups_E,
                    task_b=own,
                    score=judged_by(task, configs[task.name]),
                )
        return found


def make_baseline(
    unseen: Answers, test: Answers, tasks: Sequence[Task], configs: Mapping[str, TaskConfig]
) -> Baseline:
    """What linear models answer. unseen: rows of other splits that they have not seen, by which temperatures
    and thresholds are set."""
    return Baseline(tasks=decide(unseen, calibrate(unseen, tasks), configs), test=test)


def judged_by(task: Task, config: TaskConfig) -> str:
    """The score in which a task is compared."""
    return "f1" if config.imbalance != "none" and task.type != "regression" else MAIN_SCORE[task.type]


def baseline_table(scores: Scores, differences: Mapping[str, Interval], judged: Mapping[str, str]) -> str:
    """Markdown: a row for each task, with each subset's linear score and how much better the network is."""
    subsets = list(scores)
    lines = [
        f"| task | score | {' | '.join(f'linear, {subset}' for subset in subsets)} | network above linear |",
        f"|---|---|{'---:|' * (len(subsets) + 1)}",
    ]
    for task, score in judged.items():
        cells = [_percent(scores[subset].get(task, {}).get(score)) for subset in subsets]
        gain = differences.get(task)
        shown = f"{_signed(gain.value)} [{_signed(gain.low)}, {_signed(gain.high)}]" if gain else ""
        lines.append(f"| {task} | {score} | {' | '.join(cells)} | {shown} |")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"
