"""How far a batch is filled up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Padding:
    """min_items: blank items that no row points at fill each medium up to this many.

    rounded: every size that varies goes up to a power of two, so that there are few shapes; the rows more
    repeat the last one.
    """

    min_items: int = 0
    rounded: bool = False

    def count(self, found: int) -> int:
        return max(_power_of_two(found) if self.rounded and found else found, self.min_items)

    def length(self, longest: int, *, least: int, most: int) -> int:
        """least, most: where it is rounded. The batcher keeps apart what would be rounded differently."""
        return min(max(_power_of_two(longest), least), most) if self.rounded else longest


def length_class(length: int, *, short: int) -> int:
    """0 up to `short`, then one more for each doubling."""
    return max((length - 1).bit_length() - (short - 1).bit_length(), 0)


def _power_of_two(size: int) -> int:
    """The next one from a size of 1 on."""
    return 1 << (size - 1).bit_length()
