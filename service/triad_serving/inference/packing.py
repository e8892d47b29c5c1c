"""The graph's inputs and outputs by name, and a batch of examples as its inputs.

Each medium has its own leading size: how many distinct items the batch holds. NAME_row says for each row of
the batch which item it uses; the item count means that the medium is absent there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from triad_serving.contract.arrays import I64, Feed
from triad_serving.contract.outputs import Wanted
from triad_serving.contract.tasks import Task
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.medium import GraphInput
from triad_serving.media.padding import Padding
from triad_serving.media.registry import present

Item = TypeVar("Item")
EXACT = Padding()


def graph_inputs(spec: PreprocessSpec) -> Iterator[GraphInput]:
    """In the order in which the graph is exported."""
    for medium, own in present(spec):
        yield from medium.inputs(own)
        yield GraphInput(name=f"{medium.name}_row", type="tensor(int64)")


def input_names(spec: PreprocessSpec) -> list[str]:
    return [each.name for each in graph_inputs(spec)]


def output_names(spec: PreprocessSpec, tasks: Sequence[Task], wanted: Wanted, *, layers: int) -> list[str]:
    """Names of the graph's outputs, in the order in which it is exported; layers: of fusion."""
    names = [f"logits.{task.name}" for task in tasks]
    if wanted.attention:
        names += [f"attention.{task.name}.{medium}" for task in tasks for medium in spec.media]
    if wanted.fusion:
        names += [f"rollout.{task.name}.{medium}" for task in tasks for medium in spec.media]
        names += [f"fusion.{layer}" for layer in range(1, layers + 1)]
    if wanted.embeddings:
        names += [f"embedding.{part}" for part in (*spec.media, "fused")]
    return names


def pack_batch(batch: Sequence[ModelInputs], spec: PreprocessSpec, padding: Padding = EXACT) -> Feed:
    """The graph's inputs for a batch; the trainer packs with it, too."""
    feed: Feed = {}
    for medium, own in present(spec):
        items, rows_B = _index_items([inputs.of(medium.name) for inputs in batch], padding)
        feed |= medium.pack(items, own, padding)
        feed[f"{medium.name}_row"] = rows_B
    return feed


def _index_items(column: Sequence[Item | None], padding: Padding) -> tuple[list[Item], I64]:
    """Distinct items of one medium, and for each row which one it uses (the packed count where absent)."""
    items = {id(item): item for item in column if item is not None}
    position = {key: i for i, key in enumerate(items)}
    absent = padding.count(len(items))
    rows = [position.get(id(item), absent) for item in column]
    rows += rows[-1:] * (padding.count(len(rows)) - len(rows))
    return list(items.values()), np.array(rows, dtype=np.int64)
