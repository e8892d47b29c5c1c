"""Prefix beam search: the likeliest symbols, over all paths that say them, words and n-grams considered.

Shape letters: S sound tokens, K outputs, B prefixes that are kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from triad_serving.contract.arrays import I64
from triad_serving.contract.tasks import BLANK
from triad_serving.inference.transcribe.ctc import F64
from triad_serving.inference.transcribe.ngrams import END, Context, NgramModel
from triad_serving.inference.transcribe.words import START, State, WordList

FAINTEST = 1e-5  # of a moment's outputs: a symbol below it extends no prefix
HOPELESS = 1e-8  # of the best prefix's probability
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What is known of transcripts before any sound is heard; see Decoding."""

    outputs: int
    words: WordList | None = None
    ngrams: NgramModel | None = None
    ngram_weight: float = 0.0
    symbol_bonus: float = 0.0

    def following(self, state: State, context: Context) -> F64:
        """What a prefix's probability is multiplied by for each next output, [K]; 0 where it may not come."""
        factors_K = np.full(self.outputs, math.exp(self.symbol_bonus))
        if self.ngrams is not None:
            factors_K *= self.ngrams.probabilities(context) ** self.ngram_weight
        if self.words is not None:
            factors_K *= self.words.allowed(state)
        factors_K[BLANK] = 0.0
        return factors_K

    def ending(self, state: State, context: Context) -> float:
        """The same for the end; 0 where the prefix may not end."""
        if self.words is not None and not self.words.complete(state):
            return 0.0
        ends = 1.0 if self.ngrams is None else float(self.ngrams.probabilities(context)[END])
        return math.pow(ends, self.ngram_weight)

    def step(self, state: State, output: int) -> State:
        return START if self.words is None else self.words.step(state, output)

    def context(self, before: Context, output: int) -> Context:
        kept = 0 if self.ngrams is None else self.ngrams.order - 1
        return (*before, output)[-kept:] if kept else ()


@dataclass
class _Tree:
    """Every prefix that was kept at any time; the lists have an entry for each."""

    knowledge: Knowledge
    parents: list[int] = field(default_factory=lambda: [NOBODY])
    outputs: list[int] = field(default_factory=lambda: [BLANK])
    states: list[State] = field(default_factory=lambda: [START])
    contexts: list[Context] = field(default_factory=lambda: [()])
    children: dict[tuple[int, int], int] = field(default_factory=dict)
    factors: dict[tuple[State, Context], F64] = field(default_factory=dict)

    def child(self, parent: int, output: int) -> int:
        if (parent, output) not in self.children:
            self.children[parent, output] = len(self.parents)
            self.parents.append(parent)
            self.outputs.append(output)
            self.states.append(self.knowledge.step(self.states[parent], output))
            self.contexts.append(self.knowledge.context(self.contexts[parent], output))
        return self.children[parent, output]

    def following(self, node: int) -> F64:
        key = self.states[node], self.contexts[node]
        if key not in self.factors:
            self.factors[key] = self.knowledge.following(*key)
        return self.factors[key]

    def symbols(self, node: int) -> list[int]:
        found = []
        while self.parents[node] != NOBODY:
            found.append(self.outputs[node])
            node = self.parents[node]
        return found[::-1]

    def ending(self, node: int) -> float:
        return self.knowledge.ending(self.states[node], self.contexts[node])


def beam_search(posterior_SK: F64, knowledge: Knowledge, *, beam: int) -> list[int]:
    """The outputs of the best prefix that may end where the sound does; where none of those kept may, of the
    best one as much as may.

    A prefix's probability is that of all paths that say it, times what is known of it before; see Knowledge.
    Source: A. Graves, Supervised Sequence Labelling, 2012, section 7.5.3; the weights and the bonus of
    A. Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition, arXiv:1408.2873, algorithm 1.
    """
    tree = _Tree(knowledge)
    nodes_B = np.zeros(1, dtype=np.int64)
    blank_B, said_B = np.ones(1), np.zeros(1)  # of paths that end in a blank, and in the last symbol
    parents_B, last_B, factors_BK = _look_up(tree, nodes_B)
    for now_K in posterior_SK:
        total_B = blank_B + said_B
        stays_blank_B = total_B * now_K[BLANK]
        stays_said_B = said_B * now_K[last_B]
        audible_J = np.flatnonzero(now_K > FAINTEST)
        if now_K[BLANK] > FAINTEST and len(audible_J) == 1:  # silence, as most moments are
            scale = 1.0 / float(total_B.max() * now_K[BLANK])
            blank_B, said_B = stays_blank_B * scale, stays_said_B * scale
            continue
        extended_BJ = (total_B[:, None] * now_K[audible_J]) * factors_BK[:, audible_J]
        place_K = np.full(len(now_K), -1)
        place_K[audible_J] = np.arange(len(audible_J))
        # A symbol again is a new one only behind a blank.
        again_B = place_K[last_B]
        repeats = np.flatnonzero((again_B >= 0) & (last_B != BLANK))
        extended_BJ[repeats, again_B[repeats]] *= blank_B[repeats] / np.maximum(total_B[repeats], 1e-300)
        # What extends one prefix to another that is kept, too, counts there.
        longer, shorter = np.nonzero(parents_B[:, None] == nodes_B)
        column = place_K[last_B[longer]]
        longer, shorter, column = longer[column >= 0], shorter[column >= 0], column[column >= 0]
        stays_said_B[longer] += extended_BJ[shorter, column]
        extended_BJ[shorter, column] = 0.0

        scores = np.concatenate((stays_blank_B + stays_said_B, extended_BJ.ravel()))
        best = float(scores.max())
        if best == 0.0:  # nothing that may be said is audible at all
            continue
        kept = np.flatnonzero(scores > HOPELESS * best)
        if len(kept) > beam:
            kept = kept[np.argpartition(scores[kept], -beam)[-beam:]]
            kept.sort()
        scale = 1.0 / best
        stay, new = kept[kept < len(nodes_B)], kept[kept >= len(nodes_B)]
        blank_B = np.concatenate((stays_blank_B[stay], np.zeros(len(new)))) * scale
        said_B = np.concatenate((stays_said_B[stay], scores[new])) * scale
        if len(new):
            parent, column = np.divmod(new - len(nodes_B), len(audible_J))
            pairs = zip(nodes_B[parent].tolist(), audible_J[column].tolist(), strict=True)
            made = [tree.child(node, output) for node, output in pairs]
            nodes_B = np.concatenate((nodes_B[stay], made))
            parents_B, last_B, factors_BK = _look_up(tree, nodes_B)
        else:
            nodes_B, parents_B = nodes_B[stay], parents_B[stay]
            last_B, factors_BK = last_B[stay], factors_BK[stay]
    return _finish(tree, nodes_B, blank_B + said_B)


def _look_up(tree: _Tree, nodes_B: I64) -> tuple[I64, I64, F64]:
    """Of each prefix the one without its last symbol, that symbol, and what may follow it [B, K]."""
    nodes = nodes_B.tolist()
    return (
        np.array([tree.parents[node] for node in nodes]),
        np.array([tree.outputs[node] for node in nodes]),
        np.stack([tree.following(node) for node in nodes]),
    )


def _finish(tree: _Tree, nodes_B: I64, total_B: F64) -> list[int]:
    endings_B = np.array([tree.ending(node) for node in nodes_B.tolist()])
    scores_B = total_B * endings_B
    if scores_B.any():
        return tree.symbols(int(nodes_B[scores_B.argmax()]))
    node = int(nodes_B[total_B.argmax()])
    while not tree.ending(node):
        node = tree.parents[node]
    return tree.symbols(node)
