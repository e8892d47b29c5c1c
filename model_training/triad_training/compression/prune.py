"""Structured pruning: heads, channels and hidden units leave the network whole, so that it is small and fast.

Which: those whose loss costs least per multiplication saved. The loss is estimated by the first-order Taylor
term of each unit's weights, squared (Molchanov et al. 2019, arXiv:1906.10771, equation 8), the division by
cost is that of Molchanov et al. 2017 (arXiv:1611.06440, section 2.2). A transformer layer all of whose heads
and hidden units fall goes itself. The width of the tokens stays: a narrower network is distilled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from triad_training.learning.objective import Objective
from triad_training.media.encoders import AudioEncoder, ImageEncoder, TransformerLayer
from triad_training.network.fusion import Head
from triad_training.network.model import TriadModel

Batch: TypeAlias = Mapping[str, Mapping[str, Tensor]]
LANES = 8  # channels and hidden units stay a multiple of this: processors take them in such numbers


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where a group's units lie in one tensor: axis = outer x units x inner."""

    tensor: str
    axis: int = 0
    outer: int = 1
    inner: int = 1

    def units(self, tensor: Tensor) -> int:
        return tensor.shape[self.axis] // (self.outer * self.inner)

    def by_unit(self, tensor: Tensor) -> Tensor:
        """[outer, units, inner] in place of the axis."""
        before, after = tensor.shape[: self.axis], tensor.shape[self.axis + 1 :]
        return tensor.reshape(*before, self.outer, self.units(tensor), self.inner, *after)

    def take(self, tensor: Tensor, kept: Tensor) -> Tensor:
        taken = self.by_unit(tensor).index_select(self.axis + 1, kept)
        return taken.flatten(self.axis, self.axis + 2).contiguous()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Units that exist in several tensors at once. step: how many of them stay, a multiple of it.

    layer: of the transformer layer that they belong to, if any.
    """

    parts: tuple[Part, ...]
    step: int = LANES
    layer: str = ""

    def units(self, tensors: Mapping[str, Tensor]) -> int:
        return self.parts[0].units(tensors[self.parts[0].tensor])


def find_groups(model: TriadModel) -> list[Group]:
    """All that can be pruned; pretrained encoders have nothing of it."""
    return [group for name, module in model.named_modules() for group in _groups_of(name, module)]


def resize(model: TriadModel, group: Group, kept: Tensor) -> None:
    """Leaves the units with these indices."""
    for part in group.parts:
        path, _, leaf = part.tensor.rpartition(".")
        owner = model.get_submodule(path)
        tensor = part.take(getattr(owner, leaf).detach(), kept)
        if leaf in dict(owner.named_parameters(recurse=False)):
            owner.register_parameter(leaf, nn.Parameter(tensor))
        else:
            owner.register_buffer(leaf, tensor)


def resize_like(model: TriadModel, tensors: Mapping[str, Tensor]) -> None:
    """A freshly built network takes the sizes of stored weights, as far as pruning can have made them."""
    for name, layers in _layer_lists(model):
        stored = {key.removeprefix(f"{name}.").split(".")[0] for key in tensors if key.startswith(f"{name}.")}
        del layers[len(stored) :]
    own = model.state_dict()
    for group in find_groups(model):
        if all(part.tensor in tensors for part in group.parts):
            units = group.units(tensors)
            if 0 < units < group.units(own):
                resize(model, group, torch.arange(units))


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
    for name, layers in _layer_lists(model):
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


def _groups_of(name: str, module: nn.Module) -> Iterator[Group]:
    match module:
        case TransformerLayer():
            width = module.head_width
            yield Group(
                parts=(
                    Part(tensor=f"{name}.qkv.weight", outer=3, inner=width),
                    Part(tensor=f"{name}.qkv.bias", outer=3, inner=width),
                    Part(tensor=f"{name}.project.weight", axis=1, inner=width),
                ),
                step=1,
                layer=name,
            )
            yield Group(parts=_hidden(f"{name}.feed_forward", 1, 4), layer=name)
        case Head():
            yield Group(parts=_hidden(f"{name}.net", 0, 3))
        case ImageEncoder():
            yield from _chain([f"{name}.net.{i}" for i in range(len(module.net))])
        case AudioEncoder():
            blocks = [f"{name}.over_bands.{i}" for i in range(len(module.over_bands))]
            yield from _chain(blocks)
            channels = module.get_parameter(f"over_bands.{len(blocks) - 1}.0.weight").shape[0]
            joined = Part(tensor=f"{name}.join.weight", axis=1, inner=module.join.weight.shape[1] // channels)
            yield Group(parts=(*_channels(blocks[-1]), joined))


def _hidden(name: str, first: int, second: int) -> tuple[Part, ...]:
    """Units between two linear layers of a sequence."""
    return (
        Part(tensor=f"{name}.{first}.weight"),
        Part(tensor=f"{name}.{first}.bias"),
        Part(tensor=f"{name}.{second}.weight", axis=1),
    )


def _chain(blocks: Sequence[str]) -> Iterator[Group]:
    """Channels between the convolutions of blocks in a row; what the last one computes is not among them."""
    for block, following in pairwise(blocks):
        yield Group(parts=(*_channels(block), Part(tensor=f"{following}.0.weight", axis=1)))


def _channels(block: str) -> tuple[Part, ...]:
    """What a block of convolution, batch norm and rectifier computes."""
    norm = (f"{block}.1.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var"))
    return (Part(tensor=f"{block}.0.weight"), *(Part(tensor=name) for name in norm))


def _layer_lists(model: TriadModel) -> Iterator[tuple[str, nn.ModuleList]]:
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) and isinstance(module[0], TransformerLayer):
            yield name, module
