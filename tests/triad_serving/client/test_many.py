"""Many at once: in order, a bounded number at a time, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from triad_serving.client.many import each_in_order_async, progress_bar
from triad_serving.contract.in_order import each_in_order

LIMIT_S = 10.0


class Watched:
    """Counts who is inside at once, and lets nobody out before `full` are; then everybody."""

    def __init__(self, full: int) -> None:
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(full)
        self.now = self.most = self.calls = 0

    def __call__(self, item: int) -> int:
        with self._lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
        self._barrier.wait(LIMIT_S)
        with self._lock:
            self.now -= 1
        return 10 * item


def test_answers_come_in_order_and_at_most_so_many_run() -> None:
    watched = Watched(3)
    assert list(each_in_order(watched, range(9), concurrency=3)) == [10 * item for item in range(9)]
    assert watched.most == 3


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    answers = each_in_order(lambda item: item, items(), concurrency=2)
    assert next(answers) == 0
    assert len(taken) == 4
    answers.close()  # type: ignore[attr-defined]
    assert len(taken) == 4


def test_an_error_ends_it() -> None:
    def fail(item: int) -> int:
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        list(each_in_order(fail, range(5), concurrency=2))


def test_in_an_event_loop_likewise() -> None:
    now = most = 0

    async def ask(item: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return 10 * item

    async def go() -> list[int]:
        return [answer async for answer in each_in_order_async(ask, range(9), concurrency=3)]

    assert asyncio.run(go()) == [10 * item for item in range(9)]
    assert most == 3


def test_who_stops_to_listen_cancels_the_rest() -> None:
    cancelled: list[int] = []

    async def ask(item: int) -> int:
        try:
            await asyncio.sleep(LIMIT_S if item else 0)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    async def go() -> None:
        answers = each_in_order_async(ask, range(9), concurrency=2)
        assert await anext(answers) == 0
        await answers.aclose()

    asyncio.run(go())
    assert cancelled == [1, 2]


def test_the_bar_shows_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(range(3), shown=True) as advance:
        for _ in range(3):
            advance()
    assert "3/3" in capsys.readouterr().err
    with progress_bar(range(3), shown=False) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
