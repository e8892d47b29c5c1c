"""Linear experts: their features read once from every split, and solved for on the training rows.

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
from triad_training.learning.linear import Problem, draw_folds, fit_linear
from triad_training.learning.prepare import Prepared
from triad_training.network.head import RAREST
from triad_training.network.model import TriadModel

READ_AT_ONCE = 32  # rows
ExpertName: TypeAlias = tuple[MediumName, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearStage:
    """names: of the experts, each with its medium.

    said: by split and task, [N, E, K]: what each expert says of each row, above the problem's offset, by a
    model that has not seen the row; NaN where it lacks the medium or, in training, the label.
    """

    names: Sequence[ExpertName]
    said: Mapping[str, Mapping[str, F64]]


class _Rows(NamedTuple):
    """Rows of a split that have an expert's medium, by number, and their features."""

    numbers_N: I64
    features: Features


class _Read:
    """The same, batch by batch."""

    def __init__(self) -> None:
        self.rows: list[I64] = []
        self.features: list[Features] = []


def fit_experts(model: TriadModel, prepared: Prepared) -> LinearStage:
    """Solves for all weights of the model's linear experts, on the CPU."""
    model.cpu()
    splits = {
        "train": prepared.train.unchanged(),
        "validation": prepared.validation,
        "test": prepared.test,
    }
    said = {
        split: {
            task.name: np.full((len(data), len(model.expert_names), task.outputs), np.nan)
            for task in prepared.tasks
        }
        for split, data in splits.items()
    }
    read = {split: _read_all(model, data) for split, data in splits.items()}
    for place, key in enumerate(model.expert_names):
        expert = model.experts_of(key[0])[key[1]]
        rows = {split: _joined(found[key].rows) for split, found in read.items()}
        features = {split: expert.stack(found[key].features) for split, found in read.items()}
        expert.learn_scale(features["train"])
        scaled = {split: _Rows(rows[split], expert.scale(found)) for split, found in features.items()}
        for task in prepared.tasks:
            for split, logits_NK in _solve(model, prepared, expert, task, scaled).items():
                said[split][task.name][rows[split], place] = logits_NK
    return LinearStage(names=model.expert_names, said=said)


def _solve(
    model: TriadModel,
    prepared: Prepared,
    expert: Expert,
    task: Task,
    scaled: Mapping[str, _Rows],
) -> dict[str, F64]:
    """By split, what the expert says of its rows. Without labelled rows it says nothing."""
    train = scaled["train"]
    targets = prepared.train.targets[task.name][train.numbers_N]
    labelled_N = np.flatnonzero(labelled_rows(targets))
    if len(labelled_N) < 2:
        return {split: np.zeros((len(rows.numbers_N), task.outputs)) for split, rows in scaled.items()}
    problem = make_problem(model, task, prepared.config.tasks[task.name], targets[labelled_N])
    groups = [prepared.train.examples[n].group for n in train.numbers_N[labelled_N]]
    folds = draw_folds(task, targets[labelled_N], groups, seed=prepared.config.optim.seed)
    fitted = fit_linear(train.features[labelled_N], problem, folds)
    expert.put(task.name, fitted.model.weight_FK, fitted.model.bias_K)
    said = {split: fitted.model.logits(rows.features) for split, rows in scaled.items()}
    said["train"][:] = np.nan
    said["train"][labelled_N] = fitted.unseen_NK
    return said


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
def _read_all(model: TriadModel, dataset: ExampleDataset) -> dict[ExpertName, _Read]:
    model.eval()
    read = {key: _Read() for key in model.expert_names}
    for numbers_N, inputs in read_batches(dataset):
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


def read_batches(dataset: ExampleDataset) -> Iterator[tuple[I64, dict[str, Tensor]]]:
    """Numbers of rows, one after another, and the graph's inputs for them."""
    for start in range(0, len(dataset), READ_AT_ONCE):
        numbers_N = np.arange(start, min(start + READ_AT_ONCE, len(dataset)))
        batch = collate([dataset[int(n)] for n in numbers_N], dataset.spec)
        yield numbers_N, batch["inputs"]


def _joined(rows: Sequence[I64]) -> I64:
    return np.concatenate([np.zeros(0, np.int64), *rows])
