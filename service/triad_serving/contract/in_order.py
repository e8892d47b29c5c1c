"""Many calls, a bounded number at a time, answered in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # times as many are begun or answered as run: a slow one does not hold up those behind it at once


def each_in_order(
    ask: Callable[[Item], Result], items: Iterable[Item], *, concurrency: int
) -> Iterator[Result]:
    """In threads; `items` are taken as they are needed."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(ask, item))
                if len(waiting) >= AHEAD * concurrency:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
