"""Many examples at once in an event loop, and the bar that shows how many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from triad_serving.contract.in_order import AHEAD

Item = TypeVar("Item")
Result = TypeVar("Result")


async def each_in_order_async(
    ask: Callable[[Item], Awaitable[Result]], items: Iterable[Item], *, concurrency: int
) -> AsyncGenerator[Result, None]:
    """In tasks; `items` are taken as they are needed."""
    places = asyncio.Semaphore(concurrency)

    async def ask_in_turn(item: Item) -> Result:
        async with places:
            return await ask(item)

    waiting: deque[asyncio.Task[Result]] = deque()
    try:
        for item in items:
            waiting.append(asyncio.create_task(ask_in_turn(item)))
            if len(waiting) >= AHEAD * concurrency:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@contextmanager
def progress_bar(items: Iterable[object], *, shown: bool) -> Iterator[Callable[[], None]]:
    """What is called after each; on stderr, with the time that is left where the number of items is known."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(items) if isinstance(items, Sized) else None)
        yield lambda: progress.advance(task)
