"""What each medium contributed to an answer: exact Shapley values over the coalitions of media; numpy only.

A coalition is a set of media as a number: bit m is set where medium m, in the model's order, is in it.
Shape letters: E examples, M media, S coalitions (2 to the power of M).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from triad_serving.contract.outputs import MediumName

F64: TypeAlias = npt.NDArray[np.float64]


def coalition_of(members: Iterable[MediumName], media: Sequence[MediumName]) -> int:
    """media: all of them, in the model's order."""
    return sum(1 << media.index(medium) for medium in members)


def shapley_values(values_ES: F64) -> F64:
    """Each medium's exact Shapley value, [E, M]: what it adds on arriving, mean over all orders of arrival.

    phi_m = sum over coalitions S without m of |S|! (M - |S| - 1)! / M! (v(S + m) - v(S)), so that an
    example's values sum to v(all) - v(none). A medium that is absent adds nothing wherever it arrives.
    Source: L. S. Shapley, A value for n-person games, 1953.
    """
    count = _media_count(values_ES)
    phi_EM = np.zeros((len(values_ES), count))
    for m in range(count):
        for without in _coalitions_without(1 << m, count):
            size = without.bit_count()
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            phi_EM[:, m] += weight * (values_ES[:, without | 1 << m] - values_ES[:, without])
    return phi_EM


def interaction_values(
    values_ES: F64, media: Sequence[MediumName]
) -> dict[tuple[MediumName, MediumName], F64]:
    """The Shapley interaction index of every pair, [E]: what two add together beyond what each adds alone.

    I_ab = sum over coalitions S without both of |S|! (M - |S| - 2)! / (M - 1)!
           (v(S + a + b) - v(S + a) - v(S + b) + v(S)). Above 0 they need
    each other, below 0 they say the same.
    Source: M. Grabisch, M. Roubens, An axiomatic approach to the concept of interaction, 1999, equation 4.
    """
    count = _media_count(values_ES)
    found: dict[tuple[MediumName, MediumName], F64] = {}
    for a, b in itertools.combinations(range(count), 2):
        index_E = np.zeros(len(values_ES))
        for without in _coalitions_without(1 << a | 1 << b, count):
            size = without.bit_count()
            weight = math.factorial(size) * math.factorial(count - size - 2) / math.factorial(count - 1)
            with_a, with_b = without | 1 << a, without | 1 << b
            together_E = values_ES[:, with_a | with_b] - values_ES[:, with_a]
            index_E += weight * (together_E - values_ES[:, with_b] + values_ES[:, without])
        found[media[a], media[b]] = index_E
    return found


def _media_count(values_ES: F64) -> int:
    coalitions: int = values_ES.shape[1]
    return coalitions.bit_length() - 1


def _coalitions_without(members: int, count: int) -> Iterator[int]:
    return (coalition for coalition in range(1 << count) if not coalition & members)
