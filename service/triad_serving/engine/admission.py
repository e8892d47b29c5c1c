"""Who is let in while more is asked than can be answered; decided before a request's body is read."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

BUSY = 4  # below one place in so many taken, who rests is woken
RESERVE = 4  # one place in so many is only for clients that hold less than their share


class Admission:
    """Places for the requests of one event loop: as many as the batcher takes now, fairly where asked."""

    def __init__(self, capacity: Callable[[], int], *, fair: bool) -> None:
        """capacity: most requests at once. fair: keep places for those who hold few."""
        self._capacity = capacity
        self._fair = fair
        self._held: Counter[str] = Counter()
        # How to wake connections that are not read for a while after a refusal; who rests longest is first.
        self.resting: dict[object, Callable[[], object]] = {}

    def enter(self, client: str) -> bool:
        """Whether there is a place for one more request of this client; it holds it until `leave`."""
        capacity = self._capacity()
        room = capacity - self._held.total()
        if self._fair and room <= capacity // RESERVE:
            clients = max(len(self._held) + (client not in self._held), 2)  # another one may come
            if self._held[client] >= capacity // clients:
                room = 0
        if room <= 0:
            return False
        self._held[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Where most places are free, wakes two who rest: one for this place and one for the others.

        Where all are free, everybody: some may have nothing to ask.
        """
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        if self._held.total() <= self._capacity() // BUSY:
            for wake in list(itertools.islice(self.resting.values(), 2 if self._held else None)):
                wake()
