"""How far a task believes the network and each linear expert, in each subset of the media.

A handful of numbers for each task and subset, none below 0, solved for on rows that none of them has seen: so
a medium that tells nothing beside the others counts nothing there, and still answers where it is alone.
Late fusion of what each medium says did best in Tang et al. 2024 (arXiv:2412.16243), too.

Shape letters: N rows, C contributions, E experts, M media, S subsets, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import scipy.optimize
import torch

from triad_serving.contract.arrays import I64
from triad_serving.contract.outputs import MediumName, media_subsets
from triad_serving.contract.tasks import Task
from triad_training.data.dataset import ExampleDataset
from triad_training.evaluation.metrics import labelled_rows
from triad_training.layers.expert import F64
from triad_training.learning.experts import LinearStage, make_problem, read_batches
from triad_training.learning.linear import Problem
from triad_training.learning.prepare import Prepared
from triad_training.network.model import TriadModel

Subset: TypeAlias = tuple[MediumName, ...]

# What is believed before any row is seen: normally distributed, with this mean and deviation.
EXPERTS_PRIOR, EXPERTS_DEVIATION = 0.7, 0.5
NETWORK_PRIOR, NETWORK_DEVIATION = 0.0, 0.3  # beside experts; these then keep to what they had without it
NEGLIGIBLE = 0.02  # belief below which nothing is said


def blend_experts(model: TriadModel, prepared: Prepared, stage: LinearStage) -> None:
    """Sets the beliefs of all heads in linear experts alone, by training rows that these have not seen and
    validation rows. The network itself is not believed yet."""
    for task in prepared.tasks:
        model.head(task.name).trust_SM.zero_()
        for subset in media_subsets(model.media):
            said_NEK, problem = _heard(model, prepared, stage, task, subset, ("train", "validation"))
            own = _experts_of(stage, subset)
            deviation_C = np.full(len(own), EXPERTS_DEVIATION)
            beliefs_C = solve_beliefs(
                said_NEK[:, own], problem, np.full(len(own), EXPERTS_PRIOR), deviation_C
            )
            _believe(model, task, subset, experts=dict(zip(own, beliefs_C, strict=True)))


def blend_network(model: TriadModel, prepared: Prepared, stage: LinearStage) -> None:
    """Adds what the network has learnt, as far as validation rows bear it out."""
    network = _network_says(model, prepared)
    for task in prepared.tasks:
        for subset in media_subsets(model.media):
            said_NEK, problem = _heard(model, prepared, stage, task, subset, ("validation",))
            believed_E = model.head(task.name).expert_trust_SE[_code(model, subset)].double().numpy()
            own = [place for place in _experts_of(stage, subset) if believed_E[place] > 0]
            parts_NCK = np.concatenate([network[subset][task.name], said_NEK[:, own]], axis=1)
            prior_C = np.concatenate([np.full(len(subset), NETWORK_PRIOR), believed_E[own]])
            beliefs_C = solve_beliefs(parts_NCK, problem, prior_C, np.full(len(prior_C), NETWORK_DEVIATION))
            media_C, experts_C = np.split(beliefs_C, [len(subset)])
            _believe(
                model,
                task,
                subset,
                media=dict(zip(subset, media_C, strict=True)),
                experts=dict(zip(own, experts_C, strict=True)),
            )


def solve_beliefs(parts_NCK: F64, problem: Problem, prior_C: F64, deviation_C: F64) -> F64:
    """[C], none below 0: the most probable factors of what is said, by the rows and the prior."""
    count = len(parts_NCK)
    if not count:
        return prior_C

    def loss(factor_C: F64) -> tuple[float, F64]:
        value, gradient_NK = problem.loss(problem.offset_K + np.einsum("nck,c->nk", parts_NCK, factor_C))
        away_C = (factor_C - prior_C) / deviation_C
        value += 0.5 * float((away_C**2).sum()) / count
        return value, np.einsum("nck,nk->c", parts_NCK, gradient_NK) + away_C / deviation_C / count

    bounds = [(0, None)] * len(prior_C)
    return np.asarray(scipy.optimize.minimize(loss, prior_C, jac=True, method="L-BFGS-B", bounds=bounds).x)


def _heard(
    model: TriadModel,
    prepared: Prepared,
    stage: LinearStage,
    task: Task,
    subset: Subset,
    splits: Sequence[str],
) -> tuple[F64, Problem]:
    """What all experts say of the labelled rows that have the subset, [N, E, K], and their problem."""
    said, targets = [], []
    for split in splits:
        rows = _rows_with(prepared, split, task, subset)
        said.append(stage.said[split][task.name][rows])
        targets.append(_dataset(prepared, split).targets[task.name][rows])
    config = prepared.config.tasks[task.name]
    return np.concatenate(said), make_problem(model, task, config, np.concatenate(targets))


def _rows_with(prepared: Prepared, split: str, task: Task, subset: Subset) -> I64:
    """Labelled rows that have all of these media."""
    data = _dataset(prepared, split)
    has_N = np.array([set(subset) <= set(example.media) for example in data.examples], dtype=bool)
    return np.flatnonzero(has_N & labelled_rows(data.targets[task.name]))


def _dataset(prepared: Prepared, split: str) -> ExampleDataset:
    return {"train": prepared.train, "validation": prepared.validation}[split]


@torch.inference_mode()
def _network_says(model: TriadModel, prepared: Prepared) -> dict[Subset, dict[str, F64]]:
    """By subset and task, what each medium adds to the answers for labelled validation rows: [N, M, K]."""
    model.eval()
    found: dict[Subset, dict[str, list[F64]]] = {
        subset: {task.name: [] for task in prepared.tasks} for subset in media_subsets(model.media)
    }
    for numbers_N, inputs in read_batches(prepared.validation):
        encoded = model.encode(inputs)
        for subset, of_tasks in found.items():
            said = model.say(encoded, {medium: inputs[f"{medium}_row"] for medium in subset})
            for task in prepared.tasks:
                rows = _rows_with(prepared, "validation", task, subset)
                chosen = np.isin(numbers_N, rows)
                of_tasks[task.name].append(said[task.name].double().numpy()[chosen])
    return {
        subset: {name: np.concatenate(parts) for name, parts in of_tasks.items()}
        for subset, of_tasks in found.items()
    }


def _experts_of(stage: LinearStage, subset: Subset) -> list[int]:
    return [place for place, (medium, _) in enumerate(stage.names) if medium in subset]


def _code(model: TriadModel, subset: Subset) -> int:
    """As Head numbers subsets."""
    return sum(1 << model.media.index(medium) for medium in subset)


def _believe(
    model: TriadModel,
    task: Task,
    subset: Subset,
    *,
    experts: Mapping[int, float],
    media: Mapping[MediumName, float] | None = None,
) -> None:
    head, code = model.head(task.name), _code(model, subset)
    for place, belief in experts.items():
        head.expert_trust_SE[code, place] = belief if belief > NEGLIGIBLE else 0.0
    for medium, belief in (media or {}).items():
        head.trust_SM[code, model.media.index(medium)] = belief if belief > NEGLIGIBLE else 0.0
