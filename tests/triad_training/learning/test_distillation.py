"""A student learns from its teacher's answers, and differs from it in its network alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.triad_training.conftest import table_folder
from triad_serving.contract.errors import ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import Bundle
from triad_training.config.reading import load_config
from triad_training.data.dataset import collate
from triad_training.learning.distillation import Teacher, soft_loss, student_config
from triad_training.learning.objective import Objective
from triad_training.learning.prepare import build_model, prepare
from triad_training.network.rebuild import rebuild_network

CLASSES = Task(name="c", type="classification", labels=("a", "b", "c"))
TAGS = Task(name="t", type="multilabel", labels=("a", "b"))
NUMBER = Task(name="n", type="regression")


def test_the_loss_is_that_of_hinton() -> None:
    """Twice the temperature, four times the weight; least where the answers are the same."""
    student, teacher = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[1.0, 3.0, 0.0]])
    p, q = (teacher / 2).softmax(1), (student / 2).softmax(1)
    expected = 4 * (p * (p / q).log()).sum()
    one = torch.ones(())
    assert soft_loss(CLASSES, student, teacher, one).tolist() == pytest.approx([float(expected)], rel=1e-5)
    assert soft_loss(CLASSES, teacher, teacher, one).tolist() == pytest.approx([0], abs=1e-6)
    tags = soft_loss(TAGS, torch.zeros(1, 2), torch.full((1, 2), 2.0), one)
    r = 1 / (1 + math.exp(-1))
    tag = 4 * (r * math.log(2 * r) + (1 - r) * math.log(2 - 2 * r))
    assert tags.tolist() == [pytest.approx([tag, tag], rel=1e-4)]
    number = soft_loss(NUMBER, torch.tensor([[130.0]]), torch.tensor([[100.0]]), torch.tensor(10.0))
    assert number.tolist() == [[pytest.approx(float(F.huber_loss(torch.tensor(13.0), torch.tensor(10.0))))]]


def test_a_student_learns_from_rows_that_nobody_has_labelled(toy_bundle: Bundle) -> None:
    prepared = prepare(load_config(table_folder(toy_bundle) / "config.toml"))
    torch.manual_seed(0)
    network, student = rebuild_network(toy_bundle), build_model(prepared)
    batch = collate([prepared.train[i] for i in range(12)], prepared.config.spec)
    unlabelled = {name: torch.full_like(target, math.nan) for name, target in batch["targets"].items()}
    taught = Objective(student, prepared.config, prepared.tasks, teacher=Teacher(network))
    assert not any(name.startswith("teacher") for name, _ in taught.named_parameters())
    optimizer = torch.optim.AdamW(taught.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        loss = taught(batch["inputs"], unlabelled)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is None for parameter in network.parameters())
    alone = Objective(student, prepared.config, prepared.tasks)(batch["inputs"], unlabelled)
    assert alone.item() == 0


def test_a_student_is_its_teacher_but_for_the_sections_named(toy_bundle: Bundle, tmp_path: Path) -> None:
    teacher = load_config(table_folder(toy_bundle) / "config.toml")
    file = tmp_path / "small.toml"
    file.write_text("[model]\nwidth = 8\n[optim]\nepochs = 3\n")
    student = student_config(file, teacher)
    assert (student.model.width, student.model.heads, student.optim.epochs) == (8, 2, 3)
    assert student.model_copy(update={"model": teacher.model, "optim": teacher.optim}) == teacher


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tasks.kind]\n", "tasks: a student differs from its teacher in model, optim, augment only"),
        ("[model]\nwidth = 7\n", "model"),
        ("model = 3\n", "model"),
        ("[model\n", "cannot be read"),
    ],
)
def test_a_students_config_that_cannot_be_is_refused(
    text: str, complaint: str, toy_bundle: Bundle, tmp_path: Path
) -> None:
    file = tmp_path / "small.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        student_config(file, load_config(table_folder(toy_bundle) / "config.toml"))
