"""Weights of one encoder of fields for another that reads other fields: by the fields' names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from triad_serving.media.fields.spec import FieldsSpec

NUMBERS = ("numbers.knots", "numbers.embed.weight", "numbers.embed.bias")


def copy_by_name(
    parameter: str, source: Tensor, target: Tensor, new: FieldsSpec, old: FieldsSpec
) -> int | None:
    """How many numbers of `target` were set; None for a parameter that belongs to no field."""
    if parameter in NUMBERS:
        pairs = list(_shared([f.name for f in new.numeric], [f.name for f in old.numeric]))
        return _copy_blocks(source, target, pairs, len(old.numeric), len(new.numeric))
    if parameter == "names":
        return _copy_blocks(
            source, target, list(_shared(new.names, old.names)), len(old.names), len(new.names)
        )
    if parameter == "categories.weight":
        pairs = list(_shared(list(_rows(new)), list(_rows(old))))
        return _copy_blocks(source, target, pairs, len(source), len(target))
    return None


def _shared(new: Sequence[object], old: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Places of what both have, in the new and in the old."""
    places = {name: place for place, name in enumerate(old)}
    return ((n, places[name]) for n, name in enumerate(new) if name in places)


def _rows(spec: FieldsSpec) -> Iterator[tuple[str, str | int]]:
    """What each row of the table of categories stands for."""
    for field in spec.categorical:
        yield from ((field.name, reserved) for reserved in range(2))
        yield from ((field.name, category) for category in field.categories)


def _copy_blocks(source: Tensor, target: Tensor, pairs: list[tuple[int, int]], olds: int, news: int) -> int:
    """Of equal blocks along the first axis, one for each field."""
    if source.numel() // olds != target.numel() // news:
        return 0
    if not pairs:
        return 0
    to, of = (torch.tensor(places) for places in zip(*pairs, strict=True))
    blocks = target.view(news, -1)
    blocks[to] = source.reshape(olds, -1)[of]
    return len(pairs) * blocks.shape[1]
