"""Prefix beam search: the likeliest symbols, over all paths that say them, words and n-grams considered.

Shape letters: S sound tokens, K outputs, B prefixes that are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from triad_serving.contract.arrays import I64
from triad_serving.contract.tasks import BLANK
from triad_serving.inference.transcribe.ctc import F64
from triad_serving.inference.transcribe.ngrams import END, Context, NgramModel
from triad_serving.inference.transcribe.words import START, State, WordList

FAINTEST = 1e-5  # of a moment's outputs: a symbol below it extends no prefix
HOPELESS = 1e-8  # of the best prefix's probability
NOBODY = NOWHERE = -1
ROOT = 0  # the prefix of no symbols
TINY = 1e-300


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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """The prefixes of one moment. parents_B: the one without the last symbol, last_B that symbol.

    factors_BK: what may follow; see Knowledge. blank_B, said_B: probability of the paths that end in a blank,
    and in the last symbol, scaled so that the best prefix has 1.
    """

    nodes_B: I64
    parents_B: I64
    last_B: I64
    factors_BK: F64
    blank_B: F64
    said_B: F64

    @classmethod
    def of(cls, tree: _Tree, nodes: Sequence[int], blank_B: F64, said_B: F64) -> _Kept:
        return cls(
            nodes_B=np.array(nodes),
            parents_B=np.array([tree.parents[node] for node in nodes]),
            last_B=np.array([tree.outputs[node] for node in nodes]),
            factors_BK=np.stack([tree.following(node) for node in nodes]),
            blank_B=blank_B,
            said_B=said_B,
        )


def beam_search(posterior_SK: F64, knowledge: Knowledge, *, beam: int) -> list[int]:
    """The outputs of the best prefix that may end where the sound does; where none of those kept may, of the
    best one as much as may.

    A prefix's probability is that of all paths that say it, times what is known of it before; see Knowledge.
    Source: A. Graves, Supervised Sequence Labelling, 2012, section 7.5.3; the weights and the bonus of
    A. Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition, arXiv:1408.2873, algorithm 1.
    """
    tree = _Tree(knowledge)
    kept = _Kept.of(tree, [ROOT], np.ones(1), np.zeros(1))
    for now_K in posterior_SK:
        kept = _hear(kept, now_K, tree, beam)
    return _finish(tree, kept)


def _hear(kept: _Kept, now_K: F64, tree: _Tree, beam: int) -> _Kept:
    """The prefixes after one more moment."""
    total_B = kept.blank_B + kept.said_B
    blank_B, said_B = total_B * now_K[BLANK], kept.said_B * now_K[kept.last_B]
    audible_J = np.flatnonzero(now_K > FAINTEST)
    if len(audible_J) == 1 and audible_J[0] == BLANK:  # silence, as most moments are
        best = float(blank_B.max())
        return replace(kept, blank_B=blank_B / best, said_B=said_B / best)
    longer_BJ = _lengthen(kept, now_K, audible_J, total_B, said_B)
    scores = np.concatenate((blank_B + said_B, longer_BJ.ravel()))
    best = float(scores.max())
    if best == 0.0:  # nothing that may be said is audible at all
        return kept
    places = np.flatnonzero(scores > HOPELESS * best)
    if len(places) > beam:
        places = np.sort(places[np.argpartition(scores[places], -beam)[-beam:]])
    count = len(kept.nodes_B)
    stay, new = places[places < count], places[places >= count]
    blank_B = np.concatenate((blank_B[stay], np.zeros(len(new)))) / best
    said_B = np.concatenate((said_B[stay], scores[new])) / best
    parents, columns = np.divmod(new - count, len(audible_J))
    pairs = zip(kept.nodes_B[parents].tolist(), audible_J[columns].tolist(), strict=True)
    made = [tree.child(node, output) for node, output in pairs]
    if not made and len(stay) == count:
        return replace(kept, blank_B=blank_B, said_B=said_B)
    return _Kept.of(tree, [*kept.nodes_B[stay].tolist(), *made], blank_B, said_B)


def _lengthen(kept: _Kept, now_K: F64, audible_J: I64, total_B: F64, said_B: F64) -> F64:
    """Probability of each prefix and one more symbol [B, J], of those that are audible. Where that is another
    prefix that is kept it counts there: it is added to said_B, in place.
    """
    longer_BJ: F64 = total_B[:, None] * now_K[audible_J] * kept.factors_BK[:, audible_J]
    places_K = np.full(len(now_K), NOWHERE)
    places_K[audible_J] = np.arange(len(audible_J))
    columns_B = places_K[kept.last_B]
    again = np.flatnonzero((columns_B != NOWHERE) & (kept.last_B != BLANK))  # a new one behind a blank only
    longer_BJ[again, columns_B[again]] *= kept.blank_B[again] / np.maximum(total_B[again], TINY)
    extends_BB = (kept.parents_B[:, None] == kept.nodes_B) & (columns_B != NOWHERE)[:, None]
    children, parents = np.nonzero(extends_BB)
    said_B[children] += longer_BJ[parents, columns_B[children]]
    longer_BJ[parents, columns_B[children]] = 0.0
    return longer_BJ


def _finish(tree: _Tree, kept: _Kept) -> list[int]:
    total_B = kept.blank_B + kept.said_B
    nodes = kept.nodes_B.tolist()
    scores_B = total_B * np.array([tree.ending(node) for node in nodes])
    if scores_B.any():
        return tree.symbols(nodes[int(scores_B.argmax())])
    node = nodes[int(total_B.argmax())]
    while node != ROOT and not tree.ending(node):
        node = tree.parents[node]
    return tree.symbols(node)
