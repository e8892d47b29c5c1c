"""Connectionist temporal classification: the best path, and what a sequence of symbols is worth.

Output 0 is BLANK, the symbols stand behind it. A sequence is said by every path (one output for each moment)
that becomes it when repeats are merged and blanks taken away.
Shape letters: S sound tokens, W those of a stretch, K outputs, U symbols of a sequence, X = 2 U + 1.
Source: A. Graves et al., Connectionist Temporal Classification, ICML 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import BLANK

F64: TypeAlias = npt.NDArray[np.float64]

FAINTEST = 1e-18  # of a moment's outputs: RESCALED of them multiplied do not vanish
RESCALED = 16  # moments after which the forward variables are scaled to a sum of 1
REACH = 6  # tokens around a symbol that can be its own


def posteriors(logits_SK: F32, temperature: float = 1.0) -> F64:
    """Softmax of each moment, [S, K]."""
    scaled_SK = logits_SK.astype(np.float64) / temperature
    exp_SK: F64 = np.exp(scaled_SK - scaled_SK.max(axis=1, keepdims=True))
    exp_SK /= exp_SK.sum(axis=1, keepdims=True)
    return exp_SK


def best_path(posterior_SK: F64) -> tuple[I64, I64]:
    """The likeliest path's symbols [U], and of each its first token and the one past its last [U, 2]."""
    path_S = posterior_SK.argmax(axis=1)
    ends_U = np.flatnonzero(np.diff(path_S, append=-1)) + 1
    starts_U = np.append(0, ends_U)[: len(ends_U)]
    symbols_U = path_S[starts_U]
    said_U = symbols_U != BLANK
    return symbols_U[said_U], np.stack((starts_U, ends_U), axis=1)[said_U]


def log_probability(posterior_SK: F64, symbols_U: Sequence[int] | I64) -> float:
    """Log of the summed probability of every path that says these symbols; -inf where none is long enough.

    Source: Graves et al. 2006, equations 5 to 8 (the forward variables).
    """
    states_X, skips_X = _with_blanks(symbols_U)
    emitted_SX = np.maximum(posterior_SK[:, states_X], FAINTEST)
    if not len(emitted_SX):
        return 0.0 if len(states_X) == 1 else -math.inf
    padded = np.zeros(len(states_X) + 2)  # two before the first, so that every state has those it comes from
    here_X, before_X, skipped_X = padded[2:], padded[1:-1], padded[:-2]
    here_X[:2] = emitted_SX[0, :2]
    sums_X = np.empty_like(here_X)
    total = 0.0
    for s in range(1, len(emitted_SX)):
        np.multiply(skipped_X, skips_X, out=sums_X)
        np.add(sums_X, before_X, out=sums_X)
        np.add(sums_X, here_X, out=sums_X)
        np.multiply(sums_X, emitted_SX[s], out=here_X)
        if s % RESCALED == 0:
            scale = float(here_X.sum())
            if scale == 0.0:
                return -math.inf
            here_X /= scale
            total += math.log(scale)
    said = float(here_X[-2:].sum())
    return total + math.log(said) if said else -math.inf


def align(posterior_SK: F64, symbols_U: Sequence[int] | I64) -> I64:
    """First token of each symbol and the one past its last, [U, 2], on the likeliest path that says them.

    There must be one: see log_probability.
    """
    if not len(symbols_U):
        return np.zeros((0, 2), dtype=np.int64)
    states_X, skips_X = _with_blanks(symbols_U)
    log_SX = np.log(np.maximum(posterior_SK[:, states_X], FAINTEST))
    skips_X = np.where(skips_X > 0, 0.0, -np.inf)
    scores_3X = np.full((3, len(states_X)), -np.inf)  # staying, from the state before, from two before
    best_X = np.full(len(states_X), -np.inf)
    best_X[:2] = log_SX[0, :2]
    steps_SX = np.zeros(log_SX.shape, dtype=np.int8)
    for s in range(1, len(log_SX)):
        scores_3X[0] = best_X
        scores_3X[1, 1:] = best_X[:-1]
        scores_3X[2, 2:] = best_X[:-2] + skips_X[2:]
        steps_SX[s] = scores_3X.argmax(axis=0)
        best_X = scores_3X.max(axis=0) + log_SX[s]
    x = len(states_X) - 1
    x -= int(len(states_X) > 1 and best_X[-2] > best_X[-1])
    spans_U2 = np.zeros((len(symbols_U), 2), dtype=np.int64)
    for s in range(len(log_SX) - 1, -1, -1):
        if x % 2:
            spans_U2[x // 2, 0] = s
            spans_U2[x // 2, 1] = max(spans_U2[x // 2, 1], s + 1)
        x -= int(steps_SX[s, x])
    return spans_U2


def symbol_probabilities(posterior_SK: F64, symbols_U: Sequence[int] | I64, spans_U2: I64) -> F64:
    """How sure each symbol is, [U]: that its own stretch of the sound says it, and not another or none.

    A stretch reaches halfway to the neighbours, REACH tokens at most. The probability that it says exactly
    this symbol (the forward variables of a sequence of one) is divided by the sum of that over all symbols
    and of silence.
    """
    count = len(symbols_U)
    if not count:
        return np.zeros(0)
    halves_U = (spans_U2[1:, 0] + spans_U2[:-1, 1] + 1) // 2
    starts_U = np.maximum(np.concatenate(([0], halves_U)), spans_U2[:, 0] - REACH)
    ends_U = np.minimum(np.concatenate((halves_U, [len(posterior_SK)])), spans_U2[:, 1] + REACH)
    silent_U1 = np.ones((count, 1))
    saying_UK = np.zeros((count, posterior_SK.shape[1] - 1))
    said_UK = np.zeros_like(saying_UK)
    nothing_K = np.zeros((1, posterior_SK.shape[1]))
    nothing_K[0, BLANK] = 1.0  # behind the end of a stretch, where it changes nothing
    padded_SK = np.concatenate((posterior_SK, nothing_K))
    places_WU = starts_U + np.arange((ends_U - starts_U).max())[:, None]
    places_WU[places_WU >= ends_U] = len(posterior_SK)
    for places_U in places_WU:
        now_UK = padded_SK[places_U]
        blank_U1 = now_UK[:, :1]
        said_UK += saying_UK
        said_UK *= blank_U1
        saying_UK += silent_U1
        saying_UK *= now_UK[:, 1:]
        silent_U1 *= blank_U1
    said_UK += saying_UK
    own_U = said_UK[np.arange(count), np.asarray(symbols_U) - 1]
    all_U = said_UK.sum(axis=1) + silent_U1[:, 0]
    shares_U: F64 = np.divide(own_U, all_U, out=np.zeros(count), where=all_U > 0)
    return shares_U


def _with_blanks(symbols_U: Sequence[int] | I64) -> tuple[I64, F64]:
    """Outputs of the states [X], and 1 where a state may follow the one two before it, else 0."""
    states_X = np.full(2 * len(symbols_U) + 1, BLANK, dtype=np.int64)
    states_X[1::2] = symbols_U
    skips_X = np.zeros(len(states_X))
    skips_X[3::2] = states_X[3::2] != states_X[1:-2:2]
    return states_X, skips_X
