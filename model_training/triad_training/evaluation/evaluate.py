"""Scores of a bundle: the graph as it is served, asked through the service's own session."""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.errors import ParameterError, TableError
from triad_serving.contract.outputs import MediumName, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs
from triad_training.config.reading import trained_config
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset, LabelledInputs
from triad_training.data.files import FileStore, open_files
from triad_training.data.labels import check_labels, split_targets
from triad_training.data.splits import SPLITS, split_named
from triad_training.data.table import read_examples
from triad_training.evaluation.attribution import Trust, compare_attention, trust_table, use_by_class
from triad_training.evaluation.bootstrap import Intervals, group_examples, subset_intervals
from triad_training.evaluation.breakdown import Breakdown, break_down
from triad_training.evaluation.metrics import Answers, BatchAnswers, Scores, answer_subsets, score_subsets
from triad_training.evaluation.removal import Removals, measure_removal, removal_table
from triad_training.evaluation.retrieval import Retrieval, retrieval_table, search_split
from triad_training.evaluation.robustness import Curve, measure_robustness, robustness_table
from triad_training.evaluation.transcripts import open_decoders, stack_logits, transcribe_again
from triad_training.media.example import Example

EXAMPLES_PER_RUN = 16  # times the subsets of their media


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What was found on one split.

    examples: of the whole table. dataset, answers: of the split. scores: by subset of media; intervals: of
    the main ones. breakdowns: by task, with all media of each example. trust: whether the attention tells
    what the media contributed. curves: how the scores fall with the quality of the media; removals: by task,
    how the answers fall as the parts of the media go; where these were asked for. retrieval: where the media
    were aligned.
    """

    bundle: Bundle
    session: Session
    examples: Sequence[Example]
    dataset: ExampleDataset
    split: str
    answers: Answers
    scores: Scores
    intervals: Intervals
    breakdowns: Mapping[str, Breakdown]
    trust: Trust
    curves: tuple[Curve, ...]
    removals: Mapping[str, Removals]
    retrieval: Retrieval

    def table(self) -> str:
        """Markdown: scores by task and subset of media, attention by task, what else was measured."""
        tables = [
            score_table(self.scores, self.intervals),
            trust_table(self.trust),
            robustness_table(self.curves),
            removal_table(self.removals),
            retrieval_table(self.retrieval),
        ]
        return "\n\n".join(filter(None, tables))

    def json(self) -> str:
        use = {task.name: use_by_class(self.answers, task) for task in self.bundle.tasks}
        found = {
            "split": self.split,
            "scores": self.scores,
            "intervals": self.intervals,
            "trust": self.trust,
            "tasks": {name: each.json() for name, each in self.breakdowns.items()},
            "media_use": {name: [asdict(each) for each in listed] for name, listed in use.items()},
            "robustness": [curve.json() for curve in self.curves],
            "removal": {name: asdict(each) for name, each in self.removals.items()},
            "retrieval": self.retrieval,
        }
        return json.dumps(found, indent=2)


def evaluate_bundle(
    bundle_path: Path,
    table_path: Path,
    *,
    split: str = "test",
    robustness: bool = False,
    removal: bool = False,
) -> Evaluation:
    """Scores a bundle on one split of a table whose columns are named as in its training.

    Raises BundleError, TableError (every problem at once), ParameterError for an unknown split.
    """
    bundle = read_bundle(bundle_path)
    more = trained_config(bundle.manifest.training).data.more_splits
    name = split_named(split, more)
    if name is None:
        known = ", ".join((*SPLITS, *more))
        raise ParameterError(f"Unknown split {split!r}; known: {known}.", field="split")
    table = open_table(bundle, table_path, [name])
    dataset = table.dataset(table.split(name))
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks)
    return evaluate_answers(
        bundle,
        session,
        dataset,
        answer_split(session, dataset, bundle.tasks, bundle.path),
        examples=table.examples,
        retrieval=search_split(session, dataset, bundle.tasks) if table.config.has_shared_space else {},
        robustness=robustness,
        removal=removal,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class BundleTable:
    """A table whose columns are named as in a bundle's training. config: the bundle's, with this table."""

    bundle: Bundle
    config: TrainConfig
    examples: tuple[Example, ...]
    files: FileStore

    def split(self, name: str) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.split == name)

    def dataset(self, examples: Sequence[Example]) -> ExampleDataset:
        """Some of the examples, as the bundle reads them, with the labels that it knows."""
        labels = split_targets(examples, self.bundle.tasks, self.config)
        return ExampleDataset(examples, labels, self.bundle.spec, self.bundle.assets, files=self.files)


def open_table(bundle: Bundle, path: Path, splits: Sequence[str]) -> BundleTable:
    """Raises TableError with every broken row, unknown label of these splits, and split without a row."""
    config = trained_config(bundle.manifest.training)
    data = config.data.model_copy(update={"table": path.resolve()})
    files = open_files(config, training=False)
    examples, problems = read_examples(data, config.tasks, bundle.spec, files=files)
    chosen = [example for example in examples if example.split in splits]
    for task in bundle.tasks:
        problems += check_labels(task, config.tasks[task.name], chosen)
    found = {example.split for example in chosen}
    problems += [f"no row is in the {split} split" for split in splits if split not in found]
    if problems:
        raise TableError([f"{path.name}: {problem}" for problem in problems])
    with_table = config.model_copy(update={"data": data})
    return BundleTable(bundle=bundle, config=with_table, examples=examples, files=files)


def evaluate_answers(
    bundle: Bundle,
    session: Session,
    dataset: ExampleDataset,
    answers: Answers,
    *,
    examples: Sequence[Example],
    retrieval: Retrieval,
    robustness: bool,
    removal: bool,
) -> Evaluation:
    """Everything that the answers on one split say. examples: of the whole table."""
    groups_E = groups_of(dataset)
    return Evaluation(
        bundle=bundle,
        session=session,
        examples=examples,
        dataset=dataset,
        split=dataset.examples[0].split,
        answers=answers,
        scores=score_subsets(answers, bundle.tasks),
        intervals=subset_intervals(answers, bundle.tasks, groups_E),
        breakdowns=break_down(answers, bundle.tasks, groups_E),
        trust=compare_attention(answers, bundle.tasks),
        curves=measure_robustness(session, dataset, bundle.tasks) if robustness else (),
        removals=measure_removal(session, dataset, bundle.tasks) if removal else {},
        retrieval=retrieval,
    )


def groups_of(dataset: ExampleDataset) -> I64 | None:
    """What of its rows the bootstrap draws together."""
    return group_examples([example.group for example in dataset.examples])


def answer_split(
    session: Session, dataset: ExampleDataset, tasks: Sequence[Task], folder: Path = Path()
) -> Answers:
    """The graph's answers for every example of a dataset in every subset of its media.

    folder: where the files lie that transcripts are decoded by. Raises BundleError where they do not.
    """
    media, decoders = dataset.spec.media, open_decoders(tasks, folder)

    def run(batch: list[ModelInputs]) -> BatchAnswers:
        outputs = session.run(batch, Wanted(attention=True))
        return BatchAnswers(
            logits={task.name: stack_logits(task, outputs, decoders) for task in tasks},
            attention={
                task.name: np.stack([_media_shares(row.attention[task.name], media) for row in outputs])
                for task in tasks
            },
        )

    return answer_subsets(run, _grouped(dataset[i] for i in range(len(dataset))), tasks, media=media)


def with_transcripts(
    answers: Answers, session: Session, dataset: ExampleDataset, tasks: Sequence[Task], folder: Path = Path()
) -> Answers:
    """Answers to the other tasks for each example and subset of its media, with those to transcripts."""
    written = [task for task in tasks if task.type == "transcript"]
    if not written:
        return answers
    found = answer_split(session, dataset, written, folder)
    return dataclasses.replace(
        answers,
        logits={**answers.logits, **found.logits},
        attention={**answers.attention, **found.attention},
        targets={**answers.targets, **found.targets},
    )


def transcribed_again(answers: Answers, tasks: Sequence[Task], folder: Path = Path()) -> Answers:
    """The same answers, transcripts decoded as their tasks now say."""
    decoders = open_decoders(tasks, folder)
    again = {name: transcribe_again(answers.logits[name], decoder) for name, decoder in decoders.items()}
    return dataclasses.replace(answers, logits={**answers.logits, **again})


def score_table(scores: Scores, intervals: Intervals) -> str:
    """Markdown: one row per task and subset of media, percentages but for a regression's own units.

    intervals: shown behind their scores, where there are any.
    """
    lines = ["| task | media | examples | scores |", "|---|---|---:|---|"]
    rows = [(task, subset, values) for subset, tasks in scores.items() for task, values in tasks.items()]
    for task, subset, values in sorted(rows, key=operator.itemgetter(0)):
        ends = intervals.get(subset, {}).get(task, {})
        shown = ", ".join(
            _shown(name, value, ends.get(name)) for name, value in values.items() if name != "examples"
        )
        lines.append(f"| {task} | {subset} | {values['examples']:.0f} | {shown} |")
    return "\n".join(lines)


def _media_shares(weights: Mapping[MediumName, F32], media: Sequence[MediumName]) -> F32:
    """A task's attention summed over the tokens of each medium, [M]; 0 where it is absent."""
    shares = [weights[medium].sum() if medium in weights else 0.0 for medium in media]
    return np.array(shares, dtype=np.float32)


def _shown(name: str, value: float, ends: tuple[float, float] | None) -> str:
    if name in ("mae", "r2"):
        return f"{name} {value:.4g}" + (f" ({ends[0]:.4g} to {ends[1]:.4g})" if ends else "")
    between = f" ({100 * ends[0]:.2f} to {100 * ends[1]:.2f})" if ends else ""
    return f"{name} {100 * value:.2f} %{between}"


def _grouped(examples: Iterator[LabelledInputs]) -> Iterable[list[LabelledInputs]]:
    while group := list(islice(examples, EXAMPLES_PER_RUN)):
        yield group
