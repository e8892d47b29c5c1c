"""What can be pruned of a network, and a network with fewer units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from triad_training.layers.attention import TransformerLayer
from triad_training.layers.prunable import Group, Prunable
from triad_training.network.model import TriadModel


def find_groups(model: TriadModel) -> list[Group]:
    """All that can be pruned; pretrained encoders have nothing of it."""
    return [
        group
        for name, module in model.named_modules()
        if isinstance(module, Prunable)
        for group in module.prunable(name)
    ]


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
    for name, layers in layer_lists(model):
        stored = {key.removeprefix(f"{name}.").split(".")[0] for key in tensors if key.startswith(f"{name}.")}
        del layers[len(stored) :]
    own = model.state_dict()
    for group in find_groups(model):
        if all(part.tensor in tensors for part in group.parts):
            units = group.units(tensors)
            if 0 < units < group.units(own):
                resize(model, group, torch.arange(units))


def layer_lists(model: TriadModel) -> Iterator[tuple[str, nn.ModuleList]]:
    """Every list of transformer layers that is not empty, by name."""
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) and isinstance(module[0], TransformerLayer):
            yield name, module
