"""A load generator in Python, for machines without wrk: blocking sockets in a few processes.

One of its processes sends some thousand requests a second, so it takes a core where wrk takes a tenth of one.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

CORES_PER_PROCESS = 4
PIECE_BYTES = 1 << 16
LENGTH = b"content-length:"


@dataclass(kw_only=True)
class Counted:
    """ok_s: seconds of each 2xx."""

    ok_s: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    lost: int = 0


def count_answers(
    requests: Sequence[bytes], *, port: int, concurrency: int, seconds: float, timeout_s: float
) -> Counted:
    """So many connections, each of which asks again as soon as it is answered; of all processes."""
    processes = max(1, min(concurrency, (os.cpu_count() or 1) // CORES_PER_PROCESS))
    shares = [len(range(n, concurrency, processes)) for n in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_nothing, range(processes))  # all of them have started
        parts = pool.starmap(
            _drive, [(list(requests), port, share, (seconds, timeout_s), n) for n, share in enumerate(shares)]
        )
    return Counted(
        ok_s=[s for part in parts for s in part.ok_s],
        refused=sum(part.refused for part in parts),
        failed=sum(part.failed for part in parts),
        lost=sum(part.lost for part in parts),
    )


def percentiles_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """The median, and what 99 of 100 take at most."""
    if len(seconds) < 2:
        return (1000 * sum(seconds),) * 2
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return 1000 * cuts[49], 1000 * cuts[98]


def _nothing(_: int) -> None:
    pass


def _drive(
    requests: list[bytes], port: int, connections: int, until: tuple[float, float], turn: int
) -> Counted:
    """until: seconds from now, and of one request at most."""
    counted = [Counted() for _ in range(connections)]
    seconds, timeout_s = until
    until_s = time.monotonic() + seconds
    threads = [
        threading.Thread(
            target=_ask_on, args=(_turned(requests, 5 * turn + n), port, until_s, timeout_s, each)
        )
        for n, each in enumerate(counted)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counted(
        ok_s=[s for each in counted for s in each.ok_s],
        refused=sum(each.refused for each in counted),
        failed=sum(each.failed for each in counted),
        lost=sum(each.lost for each in counted),
    )


def _turned(requests: Sequence[bytes], turn: int) -> list[bytes]:
    """So that not all connections send the same at the same time."""
    first = turn % len(requests)
    return [*requests[first:], *requests[:first]]


def _ask_on(requests: Sequence[bytes], port: int, until_s: float, timeout_s: float, counted: Counted) -> None:
    """On one connection, opened again where the server closes it."""
    connection: socket.socket | None = None
    for request in itertools.cycle(requests):
        if (asked_s := time.monotonic()) >= until_s:
            break
        try:
            connection = connection or socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
            connection.sendall(request)
            status, closing = _read_answer(connection)
        except (OSError, ValueError):
            counted.lost += 1
            closing, status = True, 0
        if 200 <= status < 300:
            counted.ok_s.append(time.monotonic() - asked_s)
        elif status:
            counted.refused += status == 503
            counted.failed += status != 503
        if closing and connection is not None:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


def _read_answer(connection: socket.socket) -> tuple[int, bool]:
    """Its status, and whether the server closes the connection. Raises ValueError where it is cut off."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(PIECE_BYTES)
        if not piece:
            raise ValueError("The answer is cut off.")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[len(LENGTH) :]) for line in lines if line.startswith(LENGTH)), 0)
    left = length - len(body)
    while left > 0:
        piece = connection.recv(min(left, PIECE_BYTES))
        if not piece:
            raise ValueError("The answer is cut off.")
        left -= len(piece)
    return int(head.split(maxsplit=2)[1]), b"connection: close" in lines
