"""A graph in parts, each a session of its own: an encoder of each medium, and what answers from all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.outputs import MediumName
from triad_serving.inference.graph_parts import take_apart
from triad_serving.inference.runtime import Graph

MOST_BYTES = 64 * 2**20  # of a graph that is loaded in parts, too: it holds the weights a second time


class SplitGraph:
    """Gives what the whole graph gives. Its parts may run in several threads at once."""

    def __init__(self, encoders: Mapping[MediumName, Graph], answering: Graph) -> None:
        self._encoders = encoders
        self._answering = answering
        self._absent: Mapping[MediumName, Feed] = {}  # what each encoder gives of no items
        self._names = {medium: [node.name for node in graph.outputs] for medium, graph in encoders.items()}
        self._takes = [node.name for node in answering.inputs]

    @classmethod
    def load(cls, model: Path | bytes, blanks: Mapping[MediumName, Feed]) -> SplitGraph | None:
        """blanks: the graph's inputs of each medium, of no items. None where it is too large, or does not
        fall into parts.
        """
        size = len(model) if isinstance(model, bytes) else model.stat().st_size
        if size > MOST_BYTES:
            return None
        data = model if isinstance(model, bytes) else model.read_bytes()
        parts = take_apart(data, {medium: list(feed) for medium, feed in blanks.items()})
        if parts is None:
            return None
        encoders = {medium: Graph(part, device="cpu") for medium, part in parts.encoders.items()}
        values = [node for graph in encoders.values() for node in graph.outputs]
        answering = Graph(parts.rest(values), device="cpu")
        split = cls(encoders, answering)
        split._absent = {medium: split.encode(medium, feed) for medium, feed in blanks.items()}
        return split

    def encode(self, medium: MediumName, feed: Feed) -> Feed:
        """What the others take of packed items of one medium. feed: the whole graph's inputs of it."""
        names = self._names[medium]
        return dict(zip(names, self._encoders[medium].run(names, feed), strict=True))

    def answer(self, names: Sequence[str], rows: Feed, encoded: Mapping[MediumName, Feed]) -> list[F32]:
        """The outputs of these names, in order. rows: the other inputs of the whole graph.

        encoded: by medium; one that is absent from every row may be left out.
        """
        known = dict(rows)
        for medium, absent in self._absent.items():
            known |= encoded.get(medium, absent)
        return self._answering.run(names, {name: known[name] for name in self._takes})
