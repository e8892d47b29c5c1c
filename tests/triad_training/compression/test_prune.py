"""Pruning takes out what does not matter, whole, and leaves a network that is smaller by it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from tests.triad_training.conftest import table_folder
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.session import Session
from triad_training.compression.prune import Batch, choose, prune
from triad_training.config.reading import load_config
from triad_training.data.dataset import collate
from triad_training.layers.prunable import Group, Part
from triad_training.learning.objective import Objective
from triad_training.learning.prepare import Prepared, build_model, prepare
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity
from triad_training.network.prunable import find_groups, resize_like


@pytest.fixture(scope="module")
def prepared(toy_bundle: Bundle) -> Prepared:
    config = load_config(table_folder(toy_bundle) / "config.toml", ["model.width=32", "model.heads=4"])
    return prepare(config)


@pytest.fixture
def model(prepared: Prepared) -> TriadModel:
    torch.manual_seed(0)
    return build_model(prepared).eval()


def batch(prepared: Prepared) -> Batch:
    return collate([prepared.train[i] for i in range(16)], prepared.config.spec)


def answers(model: TriadModel, prepared: Prepared) -> Mapping[str, Tensor]:
    with torch.inference_mode():
        return model.eval()(batch(prepared)["inputs"])


def silence(model: TriadModel, group: Group, count: int) -> None:
    """The first `count` units of a group are heard by nobody."""
    part = group.parts[-1]
    weight = dict(model.named_parameters())[part.tensor]
    with torch.no_grad():
        for unit in range(count):
            part.by_unit(weight).select(part.axis + 1, unit).zero_()  # a view of the weight


def test_units_that_nobody_hears_go_and_no_answer_changes(prepared: Prepared, model: TriadModel) -> None:
    groups = find_groups(model)
    sizes = [group.units(dict(model.named_parameters())) for group in groups]
    for group, size in zip(groups, sizes, strict=True):
        silence(model, group, size // 2)
    before = answers(model, prepared)
    prune(Objective(model, prepared.config, prepared.tasks), [batch(prepared)], 0.45)
    after = answers(model, prepared)
    compared = [
        name for name in before if name.split(".")[0] not in ("fusion", "rollout")
    ]  # of heads, now fewer
    assert [name for name in compared if not torch.allclose(before[name], after[name], atol=1e-5)] == []
    left = [group.units(dict(model.named_parameters())) for group in find_groups(model)]
    assert all(now <= size for now, size in zip(left, sizes, strict=True))
    assert sum(now < size for now, size in zip(left, sizes, strict=True)) > len(sizes) / 2


def test_a_pruned_network_is_smaller_and_can_be_exported_and_rebuilt(
    prepared: Prepared, model: TriadModel
) -> None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    prune(Objective(model, prepared.config, prepared.tasks), [batch(prepared)], 0.6)
    assert sum(parameter.numel() for parameter in model.parameters()) < 0.8 * parameters
    spec = prepared.config.spec
    session = Session(
        export_graph(model, spec, prepared.tasks), spec=spec, tasks=prepared.tasks, device="cpu"
    )
    assert check_parity(model, session, spec, [prepared.test[0].inputs]) < 1e-4
    again = build_model(prepared).eval()
    resize_like(again, model.state_dict())
    again.load_state_dict(model.state_dict())
    expected = answers(model, prepared)
    assert all(torch.equal(found, expected[name]) for name, found in answers(again, prepared).items())


def test_a_network_without_its_only_layer_still_answers(prepared: Prepared, model: TriadModel) -> None:
    """All heads and hidden units of the text's layer are silent: it goes, the others stay."""
    for group in find_groups(model):
        if group.layer == "encoders.text.layers.0":
            silence(model, group, group.units(dict(model.named_parameters())))
    with torch.no_grad():  # else their biases would be missed
        model.get_parameter("encoders.text.layers.0.project.bias").zero_()
        model.get_parameter("encoders.text.layers.0.feed_forward.4.bias").zero_()
    before = answers(model, prepared)
    share = 0.01
    while dict(model.named_modules()).get("encoders.text.layers.0") is not None:
        prune(Objective(model, prepared.config, prepared.tasks), [batch(prepared)], share)
        share += 0.01
        assert share < 0.2
    after = answers(model, prepared)
    assert torch.allclose(before["logits.kind"], after["logits.kind"], atol=0.05)


def test_what_falls_is_what_harms_least_for_its_cost() -> None:
    wide = Group(parts=(Part(tensor="wide"),), step=2)
    layer = [Group(parts=(Part(tensor=name),), step=1, layer="layer") for name in ("heads", "hidden")]
    harm = [torch.tensor([4.0, 1.0, 3.0, 2.0]), torch.tensor([0.1, 9.0]), torch.tensor([0.1, 0.1])]
    found = choose([wide, *layer], harm, [1.0, 1.0, 1.0], 5 / 8)
    assert [kept.tolist() for kept in found] == [[0, 2], [1], [0]]  # hidden keeps one: its layer stands
    dear = choose([wide, *layer], harm, [1.0, 100.0, 1.0], 202 / 206)
    assert [kept.tolist() for kept in dear] == [[0, 1, 2, 3], [], []]  # 9 / 100 is less than 1 / 1
    nothing = choose([wide], [torch.ones(4)], [1.0], 0.99)
    assert [kept.tolist() for kept in nothing] == [[0, 1]]  # a step of them always stays


def test_the_parts_of_a_group_hold_as_many_units_each(model: TriadModel) -> None:
    tensors = model.state_dict()
    for group in find_groups(model):
        assert {part.units(tensors[part.tensor]) for part in group.parts} == {group.units(tensors)}
