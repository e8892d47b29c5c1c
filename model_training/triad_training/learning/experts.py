"""Linear experts: their features read once from every split, and solved for.

Shape letters: N rows of a split, E experts of all media, F features, K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_training.config.train_config import TaskConfig
from triad_training.data.dataset import ExampleDataset, collate
from triad_training.evaluation.metrics import labelled_rows
from triad_training.layers.expert import F64, Expert, Features, Look
from triad_training.learning.linear import draw_folds, fit_linear
from triad_training.learning.prepare import Prepared
from triad_training.learning.problem import Problem
from triad_training.network.head import RAREST
from triad_training.network.model import TriadModel

READ_AT_ONCE = 32  # rows
LEARNT = ("train", "validation")  # splits that linear experts learn from
ExpertName: TypeAlias = tuple[MediumName, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearStage:
    """names: of the experts, each with its medium.

    said: by split and task, [N, E, K]: what each expert says of each row, above the problem's offset, by a
    model that has not seen the row; NaN where it lacks the medium or, in LEARNT, the label.
    """

    names: Sequence[ExpertName]
    said: Mapping[str, Mapping[str, F64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Labels:
    """Of the rows of LEARNT, one split after another."""

    targets: Mapping[str, F32]
    groups: Sequence[str]


class _Rows(NamedTuple):
    """Rows that have an expert's medium, by number, and their features."""

    numbers_N: I64
    features: Features


class _Read:
    """The same, batch by batch."""

    def __init__(self) -> None:
        self.rows: list[I64] = []
        self.features: list[Features] = []

    def joined(self, expert: Expert) -> _Rows:
        return _Rows(np.concatenate([np.zeros(0, np.int64), *self.rows]), expert.stack(self.features))


def fit_experts(model: TriadModel, prepared: Prepared) -> LinearStage:
    """Solves for all weights of the model's linear experts, on the CPU, with the rows of LEARNT.

    Validation rows are left out for what chooses by them, and each answer here to a row of LEARNT is of a
    model without that row's fold; so nothing is lost by learning from them, too. On X-rays with notes, five
    folds, mean macro F1 of six tasks: 63.5 from training rows, 65.7 from both.
    """
    model.cpu()
    learnt = [prepared.train.unchanged(), prepared.validation]
    labels = _Labels(
        targets={
            task.name: np.concatenate([data.targets[task.name] for data in learnt]) for task in prepared.tasks
        },
        groups=[example.group for data in learnt for example in data.examples],
    )
    read = {"learnt": _read_all(model, learnt), "test": _read_all(model, [prepared.test])}
    sizes = {"learnt": len(labels.groups), "test": len(prepared.test)}
    said = {
        part: {
            task.name: np.full((size, len(model.expert_names), task.outputs), np.nan)
            for task in prepared.tasks
        }
        for part, size in sizes.items()
    }
    for place, key in enumerate(model.expert_names):
        expert = model.experts_of(key[0])[key[1]]
        rows = {part: found[key].joined(expert) for part, found in read.items()}
        expert.learn_scale(rows["learnt"].features)
        scaled = {part: _Rows(each.numbers_N, expert.scale(each.features)) for part, each in rows.items()}
        for task in prepared.tasks:
            for part, logits_NK in _solve(
                model, prepared, expert, task, labels=labels, scaled=scaled
            ).items():
                said[part][task.name][rows[part].numbers_N, place] = logits_NK
    ends = np.cumsum([0, *map(len, learnt)])
    return LinearStage(
        names=model.expert_names,
        said={
            split: {task: said_NEK[ends[n] : ends[n + 1]] for task, said_NEK in said["learnt"].items()}
            for n, split in enumerate(LEARNT)
        }
        | {"test": said["test"]},
    )


def _solve(
    model: TriadModel,
    prepared: Prepared,
    expert: Expert,
    task: Task,
    *,
    labels: _Labels,
    scaled: Mapping[str, _Rows],
) -> dict[str, F64]:
    """What the expert says of its rows. Without labelled rows it says nothing."""
    learnt = scaled["learnt"]
    targets = labels.targets[task.name][learnt.numbers_N]
    labelled_N = np.flatnonzero(labelled_rows(targets))
    if len(labelled_N) < 2:
        return {part: np.zeros((len(rows.numbers_N), task.outputs)) for part, rows in scaled.items()}
    problem = make_problem(model, task, prepared.config.tasks[task.name], targets[labelled_N])
    groups = [labels.groups[n] for n in learnt.numbers_N[labelled_N]]
    folds = draw_folds(task, targets[labelled_N], groups, seed=prepared.config.optim.seed)
    fitted = fit_linear(learnt.features[labelled_N], problem, folds)
    expert.put(task.name, fitted.model.weight_FK, fitted.model.bias_K)
    unseen_NK = np.full((len(learnt.numbers_N), task.outputs), np.nan)
    unseen_NK[labelled_N] = fitted.unseen_NK
    return {"learnt": unseen_NK, "test": fitted.model.logits(scaled["test"].features)}


def make_problem(model: TriadModel, task: Task, config: TaskConfig, targets: F32) -> Problem:
    """Of labelled rows: a number in the head's unit, uneven classes weighted where the config says so."""
    head = model.head(task.name)
    weights_N = np.ones(len(targets))
    if task.type == "regression":
        targets = (targets - np.float32(head.offset)) / np.float32(head.scale)
        offset_K = np.zeros(1)
    else:
        offset_K = head.offset.double().numpy()
    if task.type == "classification" and config.imbalance == "weights":
        share_K = np.maximum(np.array(task.prior), RAREST)
        weights_N = 1 / share_K[targets.astype(np.int64)]
        weights_N *= len(weights_N) / weights_N.sum()
    return Problem(
        type=task.type, outputs=task.outputs, targets=targets, weights_N=weights_N, offset_K=offset_K
    )


@torch.inference_mode()
def _read_all(model: TriadModel, data: Sequence[ExampleDataset]) -> dict[ExpertName, _Read]:
    model.eval()
    read = {key: _Read() for key in model.expert_names}
    for numbers_N, inputs in read_batches(data if read else []):
        for medium in model.media:
            arrays = [inputs[name] for name in model.inputs[medium]]
            items_N = inputs[f"{medium}_row"].numpy()
            has_N = items_N < len(arrays[0])
            experts = model.experts_of(medium)
            if not has_N.any() or not experts:
                continue
            hidden_NPH, mask_NP = torch.empty(0), torch.empty(0)
            if any(expert.reads_hidden for expert in experts.values()):
                hidden_NPH, (_, mask_NP, _) = model.look(medium, arrays)
            for name, expert in experts.items():
                features = expert.read(Look(arrays, hidden_NPH, mask_NP))
                read[medium, name].rows.append(numbers_N[has_N])
                read[medium, name].features.append(features[items_N[has_N]])
    return read


def read_batches(data: Sequence[ExampleDataset]) -> Iterator[tuple[I64, dict[str, Tensor]]]:
    """Numbers of rows, of one data set after another, and the graph's inputs for them."""
    first = 0
    for each in data:
        for start in range(0, len(each), READ_AT_ONCE):
            numbers_N = np.arange(start, min(start + READ_AT_ONCE, len(each)))
            batch = collate([each[int(n)] for n in numbers_N], each.spec)
            yield first + numbers_N, batch["inputs"]
        first += len(each)
