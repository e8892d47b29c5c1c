"""Linear experts: the graph's answer is the linear model that was solved for, and their parts are shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.contract.tasks import Task
from triad_training.layers.expert import F64, Expert, Look, PooledExpert, shares_of

TASKS = (
    Task(name="kind", type="classification", labels=("a", "b", "c")),
    Task(name="tags", type="multilabel", labels=("x", "y")),
    Task(name="size", type="regression"),
)


@torch.inference_mode()
def solved(expert: Expert, training: Look, *, seed: int = 0) -> dict[str, tuple[F64, F64]]:
    """Learns the scale, and takes a random linear model of every task; returns their weights and biases."""
    rng = np.random.default_rng(seed)
    expert.learn_scale(expert.stack([expert.read(training)]))
    models = {}
    for task in TASKS:
        weight_FK = rng.normal(size=(len(expert.weight), task.outputs))
        models[task.name] = weight_FK, rng.normal(size=task.outputs)
        expert.put(task.name, *models[task.name])
    return models


@torch.inference_mode()
def require_linear(expert: Expert, training: Look, look: Look) -> None:
    """Reference: the scaled features times the weights, in numpy. Features of no item stack, too."""
    models = solved(expert, training)
    scaled = expert.scale(expert.stack([expert.read(look)]))
    found_NK = expert(look).logits_NK.double().numpy()
    for task in TASKS:
        weight_FK, bias_K = models[task.name]
        expected_NK = np.asarray(scaled @ weight_FK) + bias_K
        assert found_NK[:, expert.columns[task.name]] == pytest.approx(expected_NK, rel=1e-4, abs=1e-4)
    assert expert.stack([]).shape == (0, len(expert.weight))


@torch.inference_mode()
def require_shares(expert: Expert, look: Look) -> None:
    """Of each task, over the valid tokens; there are none of no item."""
    parts_NPT = expert(look).parts_NPT
    assert parts_NPT.shape == (*look.mask_NP.shape, len(TASKS))
    assert torch.allclose(parts_NPT.sum(1), torch.ones(len(parts_NPT), len(TASKS)), atol=1e-5)
    assert (parts_NPT[look.mask_NP] > 0).all()
    assert not parts_NPT[~look.mask_NP].any()
    nothing = Look([part[:0] for part in look.inputs], look.hidden_NPH[:0], look.mask_NP[:0])
    assert expert(nothing).logits_NK.shape == (0, 6)


def hidden(seed: int) -> Look:
    generator = torch.Generator().manual_seed(seed)
    mask_NP = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
    return Look([], torch.randn(3, 5, 8, generator=generator), mask_NP)


def test_an_expert_answers_as_its_linear_model() -> None:
    require_linear(PooledExpert(TASKS, 8), hidden(0), hidden(1))


def test_parts_are_shares_of_the_valid_tokens() -> None:
    expert = PooledExpert(TASKS, 8)
    require_shares(expert, hidden(1))  # before anything is solved, too
    solved(expert, hidden(0))
    require_shares(expert, hidden(1))


@torch.inference_mode()
def test_the_parts_of_a_mean_are_what_each_token_says_of_the_likeliest_output() -> None:
    expert, look = PooledExpert(TASKS, 8), hidden(1)
    solved(expert, hidden(0))
    answer = expert(look)
    weight_FK, best = expert.weight.numpy()[:, :3], int(answer.logits_NK[0, :3].argmax())
    said_P = np.abs((look.hidden_NPH[0].numpy() - expert.centre.numpy()) @ weight_FK[:, best])
    assert answer.parts_NPT[0, :, 0].numpy() == pytest.approx(said_P / said_P.sum(), abs=1e-5)


def test_features_that_never_differ_say_nothing_and_blocks_count_alike() -> None:
    class Blocks(PooledExpert):
        def __init__(self) -> None:
            super().__init__(TASKS, 8)
            self.shares = torch.tensor([0.25] * 2 + [1 / 12] * 6).sqrt()  # blocks of 2 and 6 features

    expert = Blocks()
    features_NF = np.random.default_rng(0).normal(3, 5, (400, 8))
    features_NF[:, 7] = 4.0
    expert.learn_scale(features_NF)
    squares_F = (np.asarray(expert.scale(features_NF)) ** 2).mean(axis=0)
    assert squares_F == pytest.approx([0.25] * 2 + [1 / 12] * 5 + [0], abs=1e-4)


def test_tokens_that_say_nothing_share_alike() -> None:
    mask_NP = torch.tensor([[True, True, False], [False, False, False]])
    parts = shares_of(torch.zeros(2, 3, 1), mask_NP)[:, :, 0]
    assert parts.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
