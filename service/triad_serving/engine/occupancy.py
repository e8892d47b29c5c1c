"""How many requests each process of a service has under way, as all of them see it."""

from __future__ import annotations

import mmap
from collections.abc import Collection

PLACES = 64  # a count each; more processes share them


class Occupancy:
    """Made before a process is copied, it is shared by the copies; elsewhere each has its own."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, PLACES * 8)).cast("Q")  # written at once
        self._place = 0

    def take_place(self, number: int) -> None:
        """Of this process; none else has it."""
        self._place = number % PLACES
        self.set(0)

    def set(self, count: int) -> None:
        """Of this process."""
        self._counts[self._place] = count

    def keep(self, numbers: Collection[int]) -> None:
        """Forgets what processes had under way that are none of these: they have ended."""
        places = {number % PLACES for number in numbers}
        for place, count in enumerate(self._counts):
            if count and place not in places:
                self._counts[place] = 0

    @property
    def total(self) -> int:
        return sum(self._counts)
