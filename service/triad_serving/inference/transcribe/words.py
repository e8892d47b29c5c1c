"""The words that a transcript may be made of: which symbols may come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

State: TypeAlias = int
START: State = 0
ROOT, BEHIND = 0, 1  # nodes: before the first word, and where a further one may begin


class WordList:
    """Words in a row: a prefix tree of their symbols, and where in it each prefix of a transcript may be.

    Without a separator a prefix may be in several places, within a word and behind another. States are
    numbered as they are met.
    """

    def __init__(self, words: Iterable[Sequence[int]], *, outputs: int, separator: int | None = None) -> None:
        """words: the outputs of each one's symbols. outputs: of the task.

        separator: the symbol between two words; None: nothing is there.
        Raises ValueError where a word is empty, or where there is none.
        """
        self._outputs = outputs
        self._separator = separator
        self._children: list[dict[int, int]] = [{}, {}]
        self._ends: set[int] = set()
        for word in words:
            self._add(word)
        if not self._ends:
            raise ValueError("there is no word in the list")
        self._children[BEHIND] = self._children[ROOT]
        self._places: list[frozenset[int]] = [frozenset({ROOT})]
        self._numbers = {self._places[START]: START}
        self._allowed: dict[State, npt.NDArray[np.bool_]] = {}
        self._steps: dict[tuple[State, int], State] = {}

    def allowed(self, state: State) -> npt.NDArray[np.bool_]:
        """Which outputs may come next, [K]; BLANK is none of them."""
        if state not in self._allowed:
            allowed_K = np.zeros(self._outputs, dtype=bool)
            for place in self._places[state]:
                allowed_K[list(self._children[place])] = True
            if self._separator is not None and self._ended(state):
                allowed_K[self._separator] = True
            self._allowed[state] = allowed_K
        return self._allowed[state]

    def step(self, state: State, output: int) -> State:
        """output: one that is allowed."""
        if (state, output) not in self._steps:
            found = {self._children[place].get(output) for place in self._places[state]}
            places = {place for place in found if place is not None}
            if output == self._separator and self._ended(state):
                places.add(BEHIND)
            if self._separator is None and places & self._ends:
                places.add(BEHIND)
            self._steps[state, output] = self._number(frozenset(places))
        return self._steps[state, output]

    def complete(self, state: State) -> bool:
        """Whether a transcript may end here."""
        return state == START or self._ended(state)

    def _ended(self, state: State) -> bool:
        return not self._ends.isdisjoint(self._places[state])

    def _number(self, places: frozenset[int]) -> State:
        if places not in self._numbers:
            self._numbers[places] = len(self._places)
            self._places.append(places)
        return self._numbers[places]

    def _add(self, word: Sequence[int]) -> None:
        if not word:
            raise ValueError("a word of the list is empty")
        node = ROOT
        for symbol in word:
            if symbol not in self._children[node]:
                self._children[node][symbol] = len(self._children)
                self._children.append({})
            node = self._children[node][symbol]
        self._ends.add(node)
