"""Structured pruning: heads, channels and hidden units leave the network whole, so that it is small and fast.

Which: those whose loss costs least per multiplication saved. The loss is estimated by the first-order Taylor
term of each unit's weights, squared (Molchanov et al. 2019, arXiv:1906.10771, equation 8), the division by
cost is that of Molchanov et al. 2017 (arXiv:1611.06440, section 2.2). A transformer layer all of whose heads
and hidden units fall goes itself. The width of the tokens stays: a narrower network is distilled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from triad_training.layers.prunable import Group
from triad_training.learning.objective import Objective
from triad_training.network.prunable import find_groups, layer_lists, resize

Batch: TypeAlias = Mapping[str, Mapping[str, Tensor]]


def prune(objective: Objective, batches: Sequence[Batch], fraction: float) -> None:
    """fraction: how much of the multiplications of all that can be pruned shall be saved, 0 to 1."""
    model = objective.model
    groups = find_groups(model)
    harm, cost = _weigh(objective, groups, batches)
    kept = choose(groups, harm, cost, fraction)
    for group, units in zip(groups, kept, strict=True):
        if len(units):
            resize(model, group, units)
    gone = {group.layer for group, units in zip(groups, kept, strict=True) if not len(units)}
    for name, layers in layer_lists(model):
        for index in reversed(range(len(layers))):
            if f"{name}.{index}" in gone:
                del layers[index]


def choose(
    groups: Sequence[Group], harm: Sequence[Tensor], cost: Sequence[float], fraction: float
) -> list[Tensor]:
    """Indices of the units that stay, by group; none where a transformer layer goes.

    harm: by group, what each unit's loss costs, [units]. cost: by group, multiplications of one unit.
    """
    costs = torch.cat([torch.full_like(of_units, each) for of_units, each in zip(harm, cost, strict=True)])
    order = (torch.cat(list(harm)) / costs).argsort(stable=True)
    falls = torch.zeros(len(order), dtype=torch.bool)
    falls[order] = costs[order].cumsum(0) <= fraction * costs.sum()
    stay = [int((~part).sum()) for part in torch.split(falls, [len(each) for each in harm])]
    standing = {group.layer for group, count in zip(groups, stay, strict=True) if count}
    kept = []
    for group, count, each in zip(groups, stay, harm, strict=True):
        least = group.step if not group.layer or group.layer in standing else 0
        rounded = min(max(-(-count // group.step) * group.step, least), len(each))
        kept.append(each.argsort(descending=True, stable=True)[:rounded].sort().values)
    return kept


def _weigh(
    objective: Objective, groups: Sequence[Group], batches: Sequence[Batch]
) -> tuple[list[Tensor], list[float]]:
    """harm and cost as `choose` takes them."""
    model = objective.eval().model
    places: dict[str, int] = {}  # outputs of each weighted module, channels not counted, over all batches

    def count(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, _: object, output: Tensor) -> None:
            places[name] = places.get(name, 0) + output.numel() // module.get_parameter("weight").shape[0]

        return hook

    owners = {part.tensor.rpartition(".")[0] for group in groups for part in group.parts}
    hooks = [model.get_submodule(name).register_forward_hook(count(name)) for name in owners]
    parameters = dict(model.named_parameters())
    harm = [torch.zeros(group.units(parameters)) for group in groups]
    for batch in batches:
        objective.zero_grad()
        objective(batch["inputs"], batch["targets"]).backward()
        for group, sums in zip(groups, harm, strict=True):
            sums.add_(_taylor(group, parameters).square())
    for hook in hooks:
        hook.remove()
    cost = [
        float(
            sum(
                parameters[part.tensor].numel() / len(sums) * places.get(part.tensor.rpartition(".")[0], 0)
                for part in group.parts
                if part.tensor in parameters and parameters[part.tensor].ndim > 1
            )
        )
        for group, sums in zip(groups, harm, strict=True)
    ]
    return harm, cost


def _taylor(group: Group, parameters: Mapping[str, Tensor]) -> Tensor:
    """Of each unit: what the loss would change by without its weights, to first order."""
    total = torch.zeros(group.units(parameters))
    for part in group.parts:
        weight = parameters.get(part.tensor)
        if weight is None or weight.grad is None:  # statistics of a batch norm; a medium that nobody had
            continue
        change = part.by_unit(weight.detach() * weight.grad)
        total += change.movedim(part.axis + 1, 0).flatten(1).sum(1)
    return total
