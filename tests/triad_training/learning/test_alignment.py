"""The alignment term: its Shapley values against the report's, and that it turns attention the right way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.triad_training.network.test_model import ASSETS, CONFIG, SPEC, example
from triad_serving.contract.outputs import media_subsets
from triad_serving.contract.tasks import Task
from triad_serving.inference.packing import pack_batch
from triad_serving.media.example import ModelInputs
from triad_training.evaluation.attribution import attribute
from triad_training.evaluation.metrics import Answers
from triad_training.learning.alignment import alignment_loss, contributions
from triad_training.network.model import TriadModel

NAMES = ("text", "image", "audio")

TASKS = (
    Task(name="kind", type="classification", labels=("a", "b", "c"), prior=(0.5, 0.3, 0.2)),
    Task(name="tags", type="multilabel", labels=("x", "y"), prior=(0.4, 0.1)),
    Task(name="size", type="regression", prior=(3.0,)),
)
SUBSETS = media_subsets(NAMES)


def batch_tensors(batch: list[ModelInputs]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in pack_batch(batch, SPEC).items()}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.type)
def test_contributions_are_those_that_the_report_judges_by(task: Task) -> None:
    torch.manual_seed(0)
    logits = {subset: torch.randn(5, task.outputs) for subset in SUBSETS}
    answers = Answers(
        media=NAMES,
        example_N=np.repeat(np.arange(5), len(SUBSETS)),
        subsets_N=np.array(["+".join(subset) for subset in SUBSETS] * 5),
        logits={task.name: torch.stack(list(logits.values()), dim=1).flatten(0, 1).numpy()},
        targets={task.name: np.zeros((35, task.outputs)[: 1 + (task.type == "multilabel")], np.float32)},
        attention={task.name: np.full((35, 3), 1 / 3, dtype=np.float32)},
    )
    expected = attribute(answers, task).shapley_EM
    found = contributions(task, logits, NAMES).numpy()
    assert np.allclose(found, np.abs(expected) if task.type == "regression" else expected, atol=1e-5)


def test_a_medium_that_is_missing_or_alone_leaves_nothing_to_order() -> None:
    model = TriadModel(CONFIG, SPEC, TASKS, ASSETS)
    inputs = batch_tensors([example(0).only("text", "image")])
    rows = {medium: inputs[f"{medium}_row"] for medium in SPEC.media}
    assert alignment_loss(model, TASKS, model.encode(inputs), rows) == 0


def test_attention_moves_to_what_contributes_and_the_encoders_stay() -> None:
    torch.manual_seed(0)
    model = TriadModel(CONFIG, SPEC, TASKS[:1], ASSETS).eval()
    inputs = batch_tensors([example(n) for n in range(4)])
    rows = {medium: inputs[f"{medium}_row"] for medium in SPEC.media}
    steps = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        losses.append(alignment_loss(model, TASKS[:1], model.encode(inputs), rows))
        steps.zero_grad()
        losses[-1].backward()
        steps.step()
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is None for parameter in model.encoders.parameters())
