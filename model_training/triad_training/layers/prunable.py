"""What can be pruned of a module: units that exist in several of its tensors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

from torch import Tensor

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


@runtime_checkable
class Prunable(Protocol):
    """A module of which units can be left out."""

    def prunable(self, name: str) -> Iterator[Group]:
        """name: of the module, with which the names of its tensors begin."""
        ...


def hidden_units(name: str, first: int, second: int) -> tuple[Part, ...]:
    """Units between two linear layers of the sequence `name`."""
    return (
        Part(tensor=f"{name}.{first}.weight"),
        Part(tensor=f"{name}.{first}.bias"),
        Part(tensor=f"{name}.{second}.weight", axis=1),
    )


def chained_channels(blocks: Sequence[str]) -> Iterator[Group]:
    """Channels between the convolutions of blocks in a row; what the last one computes is not among them."""
    for block, following in pairwise(blocks):
        yield Group(parts=(*channels(block), Part(tensor=f"{following}.0.weight", axis=1)))


def channels(block: str) -> tuple[Part, ...]:
    """What a block of convolution, batch norm and rectifier computes; see convolution.py."""
    norm = (f"{block}.1.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var"))
    return (Part(tensor=f"{block}.0.weight"), *(Part(tensor=name) for name in norm))
