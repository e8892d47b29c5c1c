"""How far a task believes the network and each linear expert, in each subset of the media.

A handful of numbers for each task and subset, none below 0, solved for on rows that none of them has seen: so
a medium that tells nothing beside the others counts nothing there, and still answers where it is alone.
Late fusion of what each medium says did best in Tang et al. 2024 (arXiv:2412.16243), too.

Shape letters: N rows, C contributions, E experts, M media, S subsets, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.outputs import MediumName, media_subsets
from triad_serving.contract.tasks import Task
from triad_training.data.dataset import ExampleDataset
from triad_training.evaluation.metrics import Answers, labelled_rows
from triad_training.layers.expert import F64
from triad_training.learning.experts import (
    ExpertName,
    LinearStage,
    fit_experts,
    make_problem,
    read_batches,
)
from triad_training.learning.linear import Problem
from triad_training.learning.prepare import Prepared
from triad_training.network.model import TriadModel

Subset: TypeAlias = tuple[MediumName, ...]

# What is believed before any row is seen: normally distributed, with this mean and deviation.
EXPERTS_PRIOR, EXPERTS_DEVIATION = 0.7, 0.5
NETWORK_PRIOR, NETWORK_DEVIATION = 0.0, 0.3  # beside experts; these then keep to what they had without it
NEGLIGIBLE = 0.02  # belief below which nothing is said
# By how many standard errors the loss must fall for another medium, or the network, to be believed at all. On
# 569 radiographs with notes, macro F1 over six tasks: without such a rule 63.4, 0: 64.3, 0.5: 64.6, 1: 63.9.
NEEDED_GAIN = 0.5


def renew_experts(model: TriadModel, prepared: Prepared) -> None:
    """To a network that has learnt, and keeps all its linear experts: solves for them and for beliefs."""
    if model.expert_names:
        stage = fit_experts(model, prepared)
        blend_experts(model, prepared, stage)
        blend_network(model, prepared, stage)
        model.asks_experts = True


def blend_experts(model: TriadModel, prepared: Prepared, stage: LinearStage) -> None:
    """Sets the beliefs of all heads in linear experts alone, by training rows that these have not seen and
    validation rows. The network itself is not believed yet."""
    for task in prepared.tasks:
        model.head(task.name).trust_SM.zero_()
        for subset in media_subsets(model.media):
            heard = _hear(model, prepared, stage, Question(task, subset, ("train", "validation")))
            own_E = np.array([medium in subset for medium, _ in stage.names], dtype=bool)
            found_E = heard.solve(EXPERTS_PRIOR * own_E, own_E, EXPERTS_DEVIATION)
            smaller = [s for s in media_subsets(model.media) if set(s) < set(subset)]
            beliefs = model.head(task.name).expert_trust_SE.double().numpy()
            candidates = [beliefs[_code(model, s)] for s in smaller]
            _believe(model, task, subset, experts_E=simplest(heard, [*candidates, found_E]))


def blend_network(model: TriadModel, prepared: Prepared, stage: LinearStage) -> None:
    """Adds what the network has learnt, as far as validation rows bear it out."""
    network = _network_says(model, prepared)
    for task in prepared.tasks:
        for subset in media_subsets(model.media):
            heard = _hear(model, prepared, stage, Question(task, subset, ("validation",)))
            linear_E = model.head(task.name).expert_trust_SE[_code(model, subset)].double().numpy()
            media = len(subset)
            said_NCK = np.concatenate([network[subset][task.name], heard.said_NCK], axis=1)
            heard = Heard(said_NCK, heard.problem)
            linear_C = np.concatenate([np.full(media, NETWORK_PRIOR), linear_E])
            network_C = np.concatenate([np.ones(media), np.zeros_like(linear_E)])
            candidates = [
                linear_C,
                heard.solve(network_C, network_C > 0, NETWORK_DEVIATION),
                heard.solve(linear_C, network_C + linear_C > 0, NETWORK_DEVIATION),
            ]
            chosen_C = simplest(heard, candidates)
            _believe(model, task, subset, media_M=chosen_C[:media], experts_E=chosen_C[media:])


def simplest(heard: Heard, candidates: Sequence[F64]) -> F64:
    """The last of the beliefs, unless the best of those before is as good within NEEDED_GAIN."""
    *smaller, whole_C = candidates
    if not smaller or not len(heard.said_NCK):
        return whole_C
    losses = [heard.losses(factor_C) for factor_C in smaller]
    best = int(np.argmin([losses_N.mean() for losses_N in losses]))
    gain_N = losses[best] - heard.losses(whole_C)
    needed = NEEDED_GAIN * float(gain_N.std()) / np.sqrt(len(gain_N))
    return whole_C if gain_N.mean() > needed else smaller[best]


def linear_answers(
    model: TriadModel, prepared: Prepared, stage: LinearStage, splits: Sequence[str]
) -> Answers:
    """What linear experts alone answer, blended as the heads now say, in every subset of each row's media."""
    data = [_dataset(prepared, split) for split in splits]
    asks = [media_subsets(example.media) for each in data for example in each.examples]
    example_N = np.repeat(np.arange(len(asks)), [len(of_example) for of_example in asks])
    subsets = [subset for of_example in asks for subset in of_example]
    codes_N = np.array([_code(model, subset) for subset in subsets])
    nothing_NM = np.zeros((len(subsets), len(model.media)), dtype=np.float32)
    logits: dict[str, F32] = {}
    targets: dict[str, F32] = {}
    for task in prepared.tasks:
        head = model.head(task.name)
        said_NEK = np.nan_to_num(np.concatenate([stage.said[split][task.name] for split in splits]))
        beliefs_NE = head.expert_trust_SE.double().numpy()[codes_N]
        added_NK = np.einsum("nek,ne->nk", said_NEK[example_N], beliefs_NE)
        logits[task.name] = (head.offset.numpy() + float(head.scale) * added_NK).astype(np.float32)
        targets[task.name] = np.concatenate([each.targets[task.name] for each in data])[example_N]
    return Answers(
        media=model.media,
        example_N=example_N,
        subsets_N=np.array(["+".join(subset) for subset in subsets]),
        logits=logits,
        attention=dict.fromkeys(logits, nothing_NM),
        targets=targets,
    )


def is_linear(model: TriadModel, task: str) -> bool:
    """Whether the network itself is not believed in any subset of the media."""
    return not bool((model.head(task).trust_SM > 0).any())


def needed_experts(model: TriadModel) -> list[ExpertName]:
    """Those that any task believes in any subset of the media."""
    believed_E = torch.stack([model.head(task).expert_trust_SE.amax(0) for task in model.heads]).amax(0)
    return [name for name, belief in zip(model.expert_names, believed_E.tolist(), strict=True) if belief > 0]


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


class Question(NamedTuple):
    """A task, asked of rows of some splits that have all of a subset of the media."""

    task: Task
    subset: Subset
    splits: Sequence[str]


class Heard(NamedTuple):
    """What is said of some rows, and what they are."""

    said_NCK: F64
    problem: Problem

    def solve(self, prior_C: F64, free_C: npt.NDArray[np.bool_], deviation: float) -> F64:
        """The prior, and in its free places the beliefs that the rows then make most probable."""
        found_C, deviation_C = prior_C.copy(), np.full(int(free_C.sum()), deviation)
        found_C[free_C] = solve_beliefs(self.said_NCK[:, free_C], self.problem, prior_C[free_C], deviation_C)
        return found_C

    def losses(self, factor_C: F64) -> F64:
        return self.problem.losses(self.problem.offset_K + np.einsum("nck,c->nk", self.said_NCK, factor_C))


def _hear(model: TriadModel, prepared: Prepared, stage: LinearStage, question: Question) -> Heard:
    """All experts; those of absent media say nothing."""
    said, targets = [], []
    for split in question.splits:
        rows = _rows_with(prepared, split, question.task, question.subset)
        said.append(np.nan_to_num(stage.said[split][question.task.name][rows]))
        targets.append(_dataset(prepared, split).targets[question.task.name][rows])
    config = prepared.config.tasks[question.task.name]
    return Heard(np.concatenate(said), make_problem(model, question.task, config, np.concatenate(targets)))


def _rows_with(prepared: Prepared, split: str, task: Task, subset: Subset) -> I64:
    """Labelled rows that have all of these media."""
    data = _dataset(prepared, split)
    has_N = np.array([set(subset) <= set(example.media) for example in data.examples], dtype=bool)
    return np.flatnonzero(has_N & labelled_rows(data.targets[task.name]))


def _dataset(prepared: Prepared, split: str) -> ExampleDataset:
    return {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}[split]


@torch.inference_mode()
def _network_says(model: TriadModel, prepared: Prepared) -> dict[Subset, dict[str, F64]]:
    """By subset and task, what each medium adds to the answers for labelled validation rows: [N, M, K]."""
    model.eval()
    found: dict[Subset, dict[str, list[F64]]] = {
        subset: {task.name: [] for task in prepared.tasks} for subset in media_subsets(model.media)
    }
    asked = {
        (subset, task.name): _rows_with(prepared, "validation", task, subset)
        for subset in found
        for task in prepared.tasks
    }
    for numbers_N, inputs in read_batches(prepared.validation):
        encoded = model.encode(inputs)
        for subset, of_tasks in found.items():
            said = model.say(encoded, {medium: inputs[f"{medium}_row"] for medium in subset})
            for task in prepared.tasks:
                chosen = np.isin(numbers_N, asked[subset, task.name])
                of_tasks[task.name].append(said[task.name].double().numpy()[chosen])
    return {
        subset: {name: np.concatenate(parts) for name, parts in of_tasks.items()}
        for subset, of_tasks in found.items()
    }


def _code(model: TriadModel, subset: Subset) -> int:
    """As Head numbers subsets."""
    return sum(1 << model.media.index(medium) for medium in subset)


def _believe(
    model: TriadModel, task: Task, subset: Subset, *, experts_E: F64, media_M: F64 | None = None
) -> None:
    """media_M: of the subset."""
    head, code = model.head(task.name), _code(model, subset)
    head.expert_trust_SE[code] = torch.from_numpy(_without_negligible(experts_E))
    if media_M is not None:
        places = [model.media.index(medium) for medium in subset]
        head.trust_SM[code, places] = torch.from_numpy(_without_negligible(media_M)).to(head.trust_SM.dtype)


def _without_negligible(beliefs_C: F64) -> F64:
    return np.where(beliefs_C > NEGLIGIBLE, beliefs_C, 0.0)
