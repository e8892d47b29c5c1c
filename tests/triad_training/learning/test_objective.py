"""The loss against closed forms, and which subsets of media it asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tests.triad_training.network.test_model import ASSETS, CONFIG, SPEC, TASKS, example
from triad_serving.contract.tasks import Task
from triad_serving.inference.packing import pack_batch
from triad_serving.media.example import ModelInputs
from triad_training.config.train_config import OptimConfig, TaskConfig, TrainConfig
from triad_training.learning.objective import Objective, TaskLoss, draw_subsets
from triad_training.network.model import TriadModel

NAMES = ("text", "image", "audio")

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
    return Objective(TriadModel(CONFIG, SPEC, TASKS, ASSETS), TRAIN, TASKS)


def loss(objective: Objective, batch: Sequence[ModelInputs], kind: Sequence[float]) -> torch.Tensor:
    inputs = {name: torch.from_numpy(array) for name, array in pack_batch(batch, SPEC).items()}
    targets = {"kind": torch.tensor(kind), "size": torch.full((len(batch),), math.nan)}
    return objective(inputs, targets)


def learns(objective: Objective, medium: str) -> bool:
    parameters = objective.model.encoders[medium].parameters()
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters)


def loss_of(
    task: Task, logits: list[list[float]], targets: list[float] | list[list[float]], **options: object
) -> float:
    config = TaskConfig.model_validate({"type": task.type, **options})
    found = TaskLoss(task, config, label_smoothing=0.0)(
        torch.tensor(logits), torch.tensor(targets), torch.tensor(20.0)
    )
    return float(found)


def test_unlabelled_rows_do_not_count() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [9.0, 9.0, 9.0], [0.0, 1.0, 0.0]])
    rows = [-torch.log_softmax(logits[0], 0)[0], -torch.log_softmax(logits[2], 0)[2]]
    assert loss_of(KIND, logits.tolist(), [0.0, math.nan, 2.0]) == pytest.approx(float(sum(rows)) / 2)
    assert loss_of(KIND, logits.tolist(), [math.nan] * 3) == 0.0


def test_tags_and_values_have_their_own_loss() -> None:
    tags = loss_of(TAGS, [[0.0, 3.0]], [[1.0, 1.0]])
    assert tags == pytest.approx((math.log(2) + math.log1p(math.exp(-3))) / 2)
    size = loss_of(SIZE, [[150.0], [100.0]], [140.0, 160.0], weight=2.0)
    assert size == pytest.approx(2 * (0.5 * 0.5**2 + (3 - 0.5)) / 2)


def test_rare_labels_count_more_where_asked() -> None:
    rare = Task(name="kind", type="classification", labels=("a", "b"), prior=(0.8, 0.2))
    logits = [[1.0, 0.0], [1.0, 0.0]]
    common, seldom = (-torch.log_softmax(torch.tensor(logits[0]), 0)).tolist()
    found = loss_of(rare, logits, [0.0, 1.0], imbalance="weights")
    assert found == pytest.approx((common / (2 * 0.8) + seldom / (2 * 0.2)) / 2)
    tags = Task(name="tags", type="multilabel", labels=("x", "y"), prior=(0.1, 0.5))
    found = loss_of(tags, [[0.0, 0.0]], [[1.0, 0.0]], imbalance="weights")
    assert found == pytest.approx(math.log(2) * (0.5 / 0.1 + 0.5 / 0.5) / 2)


def test_sure_and_right_answers_hardly_count_in_focal_loss() -> None:
    logits = [[2.0, 0.0, 0.0]]
    log_p = torch.log_softmax(torch.tensor(logits[0]), 0)[0]
    expected = -((1 - log_p.exp()) ** 2) * log_p
    assert loss_of(KIND, logits, [0.0], imbalance="focal") == pytest.approx(float(expected))
    p = 1 / (1 + math.exp(-3))
    assert loss_of(TAGS, [[3.0, 3.0]], [[1.0, 1.0]], imbalance="focal") == pytest.approx(
        -((1 - p) ** 2) * math.log(p), rel=1e-5
    )


def test_learned_weights_follow_the_published_formula(objective: Objective) -> None:
    batch, kind = [example(0), example(1)], [0.0, 1.0]
    weighing = Objective(
        objective.model, TRAIN.model_copy(update={"optim": OptimConfig(task_weights="uncertainty")}), TASKS
    )
    weighing.losses = objective.losses
    with torch.no_grad():
        weighing.log_variances["kind"].fill_(0.7)
    objective.eval()
    weighing.eval()
    torch.manual_seed(1)
    plain = loss(objective, batch, kind)
    torch.manual_seed(1)
    assert loss(weighing, batch, kind).item() == pytest.approx(plain.item() * math.exp(-0.7) + 0.35, rel=1e-5)


def test_the_l1_term_is_the_sum_of_all_matrix_entries(objective: Objective) -> None:
    objective.eval()
    batch, kind = [example(0)], [1.0]
    torch.manual_seed(1)
    plain = loss(objective, batch, kind)
    objective.optim = OptimConfig(l1=0.01)
    torch.manual_seed(1)
    size = sum(p.abs().sum().item() for p in objective.model.parameters() if p.ndim > 1)
    assert (loss(objective, batch, kind) - plain).item() == pytest.approx(0.01 * size, rel=1e-4)


def test_a_task_without_a_label_in_the_batch_costs_nothing(objective: Objective) -> None:
    nothing = loss(objective, [example(0), example(1)], [math.nan, math.nan])
    assert nothing == 0
    nothing.backward()


def test_all_media_each_alone_and_one_between_are_asked() -> None:
    pairs = set()
    for step in range(40):
        drawn = draw_subsets(NAMES, seed=(0, step))
        assert drawn == draw_subsets(NAMES, seed=(0, step))
        assert [subset for subset in drawn if len(subset) != 2] == [("text",), ("image",), ("audio",), NAMES]
        pairs |= {subset for subset in drawn if len(subset) == 2}
        assert len(drawn) == 5
    assert len(pairs) == 3
    assert draw_subsets(("text", "image"), seed=(0,)) == [("text",), ("image",), ("text", "image")]
    assert draw_subsets(("audio",), seed=(0,)) == [("audio",)]


def test_every_medium_learns_even_where_all_are_shown_together(objective: Objective) -> None:
    loss(objective, [example(0), example(1)], [0.0, 2.0]).backward()
    assert all(learns(objective, medium) for medium in NAMES)


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
    rows = {medium: inputs[f"{medium}_row"] for medium in SPEC.media}
    losses = [
        objective._subset_loss(
            encoded, ("image",), rows, {"kind": torch.tensor([0.0, k]), "size": torch.full((2,), math.nan)}
        )
        for k in (0.0, 1.0)
    ]
    assert losses[0] == losses[1]
    assert losses[0] > 0


def test_attention_is_aligned_in_the_second_half_of_a_run(objective: Objective) -> None:
    objective.eval()
    objective.optim = OptimConfig(alignment=1.0)
    tasks = tuple(replace(task, prior=(1 / 3,) * 3 if task.labels else (0.0,)) for task in TASKS)
    objective.tasks = tasks
    inputs = {name: torch.from_numpy(a) for name, a in pack_batch([example(0), example(1)], SPEC).items()}
    targets = {"kind": torch.tensor([0.0, 1.0]), "size": torch.full((2,), math.nan)}
    early, half, end = (objective(inputs, targets, progress=p).item() for p in (0.49, 0.5, 1.0))
    assert early < half
    assert half == end
