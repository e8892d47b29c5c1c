"""The loss against closed forms, and which subsets of media it asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from model_training.config import TrainConfig
from model_training.model import TriadModel
from model_training.objective import Objective, draw_subsets, task_loss
from service.contract import MEDIA, ModelInputs, Task
from service.session import pack_batch
from tests.model_training.test_model import CONFIG, SPEC, TASKS, example

KIND, SIZE = TASKS
TAGS = Task(name="tags", type="multilabel", labels=("x", "y"))
TRAIN = TrainConfig.model_validate(
    {
        "name": "toy",
        "data": {"table": "t.csv"},
        "tasks": {"kind": {"weight": 2.0}, "size": {"type": "regression"}},
        "optim": {"label_smoothing": 0.1},
    }
)


@pytest.fixture
def objective() -> Objective:
    torch.manual_seed(0)
    return Objective(TriadModel(CONFIG, SPEC, TASKS, words=50), TRAIN, TASKS)


def loss(objective: Objective, batch: Sequence[ModelInputs], kind: Sequence[float]) -> torch.Tensor:
    inputs = {name: torch.from_numpy(array) for name, array in pack_batch(batch, SPEC).items()}
    targets = {"kind": torch.tensor(kind), "size": torch.full((len(batch),), math.nan)}
    return objective(inputs, targets)


def learns(objective: Objective, medium: str) -> bool:
    parameters = objective.model.encoders[medium].parameters()
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters)


def test_unlabelled_rows_do_not_count() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [9.0, 9.0, 9.0], [0.0, 1.0, 0.0]])
    found = task_loss(
        KIND, logits, torch.tensor([0.0, math.nan, 2.0]), label_smoothing=0.0, deviation=torch.ones(())
    )
    rows = [-torch.log_softmax(logits[0], 0)[0], -torch.log_softmax(logits[2], 0)[2]]
    assert found == pytest.approx(float(sum(rows)) / 2)


def test_tags_and_values_have_their_own_loss() -> None:
    logits = torch.tensor([[0.0, 3.0]])
    tags = task_loss(TAGS, logits, torch.tensor([[1.0, 1.0]]), label_smoothing=0.0, deviation=torch.ones(()))
    assert tags == pytest.approx((math.log(2) + math.log1p(math.exp(-3))) / 2)
    size = task_loss(
        SIZE,
        torch.tensor([[150.0], [100.0]]),
        torch.tensor([140.0, 160.0]),
        label_smoothing=0.0,
        deviation=torch.tensor(20.0),
    )
    assert size == pytest.approx(
        (0.5 * 0.5**2 + (3 - 0.5)) / 2
    )  # Huber: square within 1 deviation, then linear


def test_a_task_without_a_label_in_the_batch_costs_nothing(objective: Objective) -> None:
    nothing = loss(objective, [example(0), example(1)], [math.nan, math.nan])
    assert nothing == 0
    nothing.backward()


def test_all_media_each_alone_and_one_between_are_asked() -> None:
    torch.manual_seed(0)
    pairs = set()
    for _ in range(40):
        drawn = draw_subsets(MEDIA)
        assert [subset for subset in drawn if len(subset) != 2] == [("text",), ("image",), ("audio",), MEDIA]
        pairs |= {subset for subset in drawn if len(subset) == 2}
        assert len(drawn) == 5
    assert len(pairs) == 3
    assert draw_subsets(("text", "image")) == [("text",), ("image",), ("text", "image")]
    assert draw_subsets(("audio",)) == [("audio",)]


def test_every_medium_learns_even_where_all_are_shown_together(objective: Objective) -> None:
    loss(objective, [example(0), example(1)], [0.0, 2.0]).backward()
    assert all(learns(objective, medium) for medium in MEDIA)


def test_a_batch_in_which_nobody_has_a_medium_trains_the_others(objective: Objective) -> None:
    batch = [example(0).only("text"), example(1).only("text", "audio")]
    found = loss(objective, batch, [0.0, 2.0])
    found.backward()
    assert found.isfinite()
    assert learns(objective, "text")
    assert learns(objective, "audio")
    assert not learns(objective, "image")


def test_a_subset_is_judged_on_the_rows_that_have_it(objective: Objective) -> None:
    """A row of text alone, whatever its label, changes nothing of what the image's loss is."""
    objective.eval()
    inputs = {
        n: torch.from_numpy(a) for n, a in pack_batch([example(0), example(1).only("text")], SPEC).items()
    }
    encoded = objective.model.encode(inputs)
    losses = [
        objective._subset_loss(
            encoded, ("image",), inputs, {"kind": torch.tensor([0.0, k]), "size": torch.full((2,), math.nan)}
        )
        for k in (0.0, 1.0)
    ]
    assert losses[0] == losses[1]
    assert losses[0] > 0
