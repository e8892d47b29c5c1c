"""What the table holds: rows, labels and media of each split, lengths and sizes. With its charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.media.example import ModelInputs
from triad_serving.media.preprocess import preprocess
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset
from triad_training.data.labels import tags_of
from triad_training.data.splits import SPLITS
from triad_training.evaluation.report.style import INK, new_figure, shorten
from triad_training.media.example import Example
from triad_training.media.registry import MEDIA
from triad_training.media.stored import LIMITS

SAMPLE = 150  # rows per split whose media are opened
MOST_CLASSES = 24
LINES = {"train": "-", "validation": "--", "test": ":"}
OTHER_LINE = "-."  # of a split of data.more_splits


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """media: how many rows have each. labelled: how many rows each task has. classes: by task and label."""

    split: str
    rows: int
    media: dict[MediumName, int]
    labelled: dict[str, int]
    classes: dict[str, Counter[str]]


def count_rows(examples: Sequence[Example], config: TrainConfig, tasks: Sequence[Task]) -> list[SplitRows]:
    """Of each split that has rows."""
    by_split = {split: [e for e in examples if e.split == split] for split in _splits(examples)}
    return [_count(split, chosen, config, tasks) for split, chosen in by_split.items() if chosen]


def _splits(examples: Sequence[Example]) -> list[str]:
    """Those of training, then the table's others."""
    found = dict.fromkeys(example.split for example in examples)
    return [
        *(split for split in SPLITS if split in found),
        *(split for split in found if split not in SPLITS),
    ]


def _count(split: str, chosen: Sequence[Example], config: TrainConfig, tasks: Sequence[Task]) -> SplitRows:
    media = Counter(medium for example in chosen for medium in example.media)
    cells = {task.name: [e.labels[task.name] for e in chosen if task.name in e.labels] for task in tasks}
    return SplitRows(
        split=split,
        rows=len(chosen),
        media={medium: media[medium] for medium in config.spec.media},
        labelled={name: len(found) for name, found in cells.items()},
        classes={
            task.name: Counter(
                tag for cell in cells[task.name] for tag in set(tags_of(cell, config.tasks[task.name]))
            )
            for task in tasks
            if task.type != "regression"
        },
    )


def open_sample(dataset: ExampleDataset, examples: Sequence[Example]) -> dict[str, list[ModelInputs]]:
    """A seeded sample of each split, preprocessed with the dataset's spec."""
    rng = np.random.default_rng(0)
    opened: dict[str, list[ModelInputs]] = {}
    for split in _splits(examples):
        chosen = [example for example in examples if example.split == split]
        for i in rng.permutation(len(chosen))[:SAMPLE].tolist():
            inputs = preprocess(chosen[i].read(), dataset.spec, dataset.assets, LIMITS)
            opened.setdefault(split, []).append(inputs)
    return opened


def draw_labels(task: Task, counted: Sequence[SplitRows]) -> Figure:
    """Share of each split's labelled rows that have each class, tag or symbol, most frequent first."""
    totals = Counter[str]()
    for rows in counted:
        totals += rows.classes[task.name]
    labels = [label for label, _ in totals.most_common(MOST_CLASSES)]
    figure, (axes,) = new_figure(5.2, 1.0 + 0.24 * len(labels))
    for rows, marker in zip(counted, ("o", "s", "^"), strict=False):
        shares = [rows.classes[task.name][label] / max(rows.labelled[task.name], 1) for label in labels]
        filled = INK if rows.split == "train" else "white"
        axes.plot(shares, range(len(labels)), marker, color=filled, markeredgecolor=INK, label=rows.split)
    axes.set_yticks(range(len(labels)), [shorten(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of the labelled rows")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return figure


def draw_lengths(opened: dict[str, list[ModelInputs]]) -> Figure | None:
    """Distributions of the media's sizes by split; None where there is nothing to draw."""
    panels: dict[str, dict[str, list[float]]] = {}
    for medium in MEDIA:
        panels[medium.size_label] = {
            split: [
                medium.size(item) for each in sample if (item := each.of(medium.serving.name)) is not None
            ]
            for split, sample in opened.items()
        }
    used = {name: by_split for name, by_split in panels.items() if any(by_split.values())}
    if not used:
        return None
    figure, axes = new_figure(3.1 * len(used), 2.6, columns=(1,) * len(used))
    for panel, (name, by_split) in zip(axes, used.items(), strict=True):
        every = np.concatenate([np.asarray(values, dtype=float) for values in by_split.values()])
        bins = np.histogram_bin_edges(every, 24).tolist()
        for split, values in by_split.items():
            weights = np.full(len(values), 1 / max(len(values), 1))
            panel.hist(
                values,
                bins,
                weights=weights,
                histtype="step",
                color=INK,
                ls=LINES.get(split, OTHER_LINE),
                label=split,
            )
        panel.set_xlabel(name)
        panel.set_yticks([])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure
