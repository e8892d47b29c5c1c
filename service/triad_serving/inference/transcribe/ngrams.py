"""Which symbols follow which: an n-gram model with Witten-Bell smoothing.

p(k | h) = (c(h k) + T(h) p(k | h without its first)) / (c(h) + T(h)), c counts, T(h) how many different
symbols were seen behind h; below single symbols every one is equally likely.
Source: I. Witten, T. Bell, The zero-frequency problem, 1991, method C, interpolated as in S. Chen,
J. Goodman, An empirical study of smoothing techniques for language modeling, 1999, section 2.5. It needs no
counts of counts, which the few dozen symbols of a transcript do not give.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from triad_serving.inference.transcribe.ctc import F64

Context: TypeAlias = tuple[int, ...]
END = 0  # the place of BLANK, which no text has: that it ends


class _File(BaseModel):
    """counts: symbols before, separated by blanks -> symbol -> how often it came."""

    model_config = ConfigDict(extra="forbid")

    order: int = Field(ge=1)
    outputs: int = Field(ge=2)
    counts: dict[str, dict[int, int]]

    @model_validator(mode="after")
    def _check(self) -> _File:
        for followers in self.counts.values():
            for output, count in followers.items():
                if not 0 <= output < self.outputs or count < 1:
                    raise ValueError(f"output {output} was counted {count} times, of {self.outputs} outputs")
        return self


class NgramModel:
    """Probabilities of the next symbol, by the symbols before it."""

    def __init__(self, *, order: int, outputs: int, counts: Mapping[Context, Mapping[int, int]]) -> None:
        """order: symbols of the longest n-gram. outputs: of the task. counts: context -> output -> number."""
        self.order = order
        self.outputs = outputs
        self._counts = {context: dict(followers) for context, followers in counts.items()}
        self._known: dict[Context, F64] = {}

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[int]], *, order: int, outputs: int) -> NgramModel:
        """sequences: the outputs of each text's symbols."""
        counts: defaultdict[Context, Counter[int]] = defaultdict(Counter)
        for sequence in sequences:
            text = (*sequence, END)
            for at, symbol in enumerate(text):
                for length in range(min(order - 1, at) + 1):
                    counts[tuple(text[at - length : at])][symbol] += 1
        return cls(order=order, outputs=outputs, counts=counts)

    def probabilities(self, context: Context) -> F64:
        """Of each output [K] behind these symbols, END among them; they sum to 1."""
        context = context[max(len(context) - self.order + 1, 0) :]
        if context not in self._known:
            lower_K = (
                self.probabilities(context[1:]) if context else np.full(self.outputs, 1.0 / self.outputs)
            )
            followers = self._counts.get(context, {})
            known_K = len(followers) * lower_K
            for output, count in followers.items():
                known_K[output] += count
            self._known[context] = known_K / known_K.sum() if followers else lower_K
        return self._known[context]

    def to_json(self) -> bytes:
        counts = {" ".join(map(str, context)): dict(f) for context, f in self._counts.items()}
        return json.dumps({"order": self.order, "outputs": self.outputs, "counts": counts}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> NgramModel:
        """Raises ValueError."""
        file = _File.model_validate_json(data)
        counts = {tuple(map(int, context.split())): f for context, f in file.counts.items()}
        return cls(order=file.order, outputs=file.outputs, counts=counts)
