"""Hostile input in numbers: files and requests, broken at random, against each decoder and the whole route.

python -m benchmarks.fuzz --inputs 200000 [--seed 0] [--out FILE] [--replay INDEX --write FILE]

They are thrown in another process, so that one that crashes or hangs is found, told, and left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import json
import logging.config
import multiprocessing
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil

from benchmarks.serving.machine import describe_machine
from tests.hostile.corpus import (
    FORM,
    form,
    hostile_bodies,
    hostile_texts,
    part,
    valid_images,
    valid_sounds,
)
from tests.hostile.mutation import mutate
from tests.hostile.targets import complaint_about, status_of
from triad_serving.http.app import create_app
from triad_serving.operation.quiet import quiet_libraries
from triad_serving.operation.server import log_config
from triad_serving.settings import SHIPPED_MODELS, Settings

# Of each hundred inputs. `route`: requests with a broken image, sound or text; `body`: with a broken form.
SHARES = {"image": 30, "audio": 30, "text": 5, "fields": 5, "route": 20, "body": 10}
HANG_S = 60.0
MEMORY_EVERY = 1000  # inputs
MOST_SEED_BYTES = 100_000
QUERIES = ("", "?attention=full", "?explain=shapley", "?attention=full&explain=all")
MIB = 2**20


class Attack(NamedTuple):
    """kind: one of SHARES. media: by name, for the route; else the data alone."""

    kind: str
    data: bytes
    query: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """failure: what should not have been; empty where all is well. memory_mb: now and then."""

    index: int
    kind: str
    status: int
    seconds: float
    failure: str = ""
    memory_mb: float | None = None


@dataclass(kw_only=True)
class Report:
    statuses: dict[str, collections.Counter[int]] = field(
        default_factory=lambda: {kind: collections.Counter() for kind in SHARES}
    )
    slowest: dict[str, Outcome] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)
    crashes: list[tuple[int, int]] = field(default_factory=list)  # index, exit code
    hangs: list[int] = field(default_factory=list)
    memory_mb: list[tuple[int, float]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.statuses[outcome.kind][outcome.status] += 1
        slowest = self.slowest.setdefault(outcome.kind, outcome)
        if outcome.seconds > slowest.seconds:
            self.slowest[outcome.kind] = outcome
        if outcome.failure:
            self.failures.append(outcome)
        if outcome.memory_mb is not None:
            self.memory_mb.append((outcome.index, outcome.memory_mb))

    def as_json(self) -> dict[str, Any]:
        return {
            "inputs": {kind: sum(found.values()) for kind, found in self.statuses.items()},
            "statuses": {kind: dict(sorted(found.items())) for kind, found in self.statuses.items()},
            "slowest": {
                kind: {"index": each.index, "ms": round(1000 * each.seconds, 1), "status": each.status}
                for kind, each in self.slowest.items()
            },
            "failures": [dataclasses.asdict(each) for each in self.failures],
            "crashes": self.crashes,
            "hangs": self.hangs,
            "memory_mb": [(index, round(memory_mb, 1)) for index, memory_mb in self.memory_mb],
        }


class Seeds:
    """What is broken: made once."""

    def __init__(self) -> None:
        texts = [each.data for each in hostile_texts() if len(each.data) < MOST_SEED_BYTES]
        self.by_medium: Mapping[str, list[bytes]] = {
            "image": list(valid_images().values()),
            "audio": list(valid_sounds().values()),
            "text": [*texts, b"seven", "数字七".encode()],
            "fields": [b'{"age": 63, "sex": "F"}', b'{"age": -1.5e2}', b'{"sex": "\\u0046", "age": null}'],
        }
        self.bodies = [each.data for each in hostile_bodies() if len(each.data) < MOST_SEED_BYTES]
        self.kinds = [kind for kind, share in SHARES.items() for _ in range(share)]

    def attack(self, seed: int, index: int) -> Attack:
        """The same for the same numbers."""
        rng = np.random.default_rng((seed, index))
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        if kind == "body":
            return Attack(kind, mutate(self._one_of(self.bodies, rng), self.bodies, rng))
        if kind != "route":
            seeds = self.by_medium[kind]
            return Attack(kind, mutate(self._one_of(seeds, rng), seeds, rng))
        parts = []
        for medium in ("text", "image", "audio"):
            if rng.random() < 0.6:
                seeds = self.by_medium[medium]
                data = self._one_of(seeds, rng)
                parts.append(part(medium, mutate(data, seeds, rng) if rng.random() < 0.6 else data))
        return Attack(kind, form(*parts), QUERIES[int(rng.integers(len(QUERIES)))])

    @staticmethod
    def _one_of(seeds: list[bytes], rng: np.random.Generator) -> bytes:
        return seeds[int(rng.integers(len(seeds)))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--replay", type=int, metavar="INDEX", help="throw this input alone, in this process")
    parser.add_argument("--write", type=Path, help="write the input that is replayed")
    options = parser.parse_args()

    if options.replay is not None:
        attack = Seeds().attack(options.seed, options.replay)
        if options.write:
            options.write.write_bytes(attack.data)
        outcome = asyncio.run(_throw(options.seed, options.replay, options.replay + 1, None, None))
        sys.stdout.write(f"{outcome}\n")
        return
    started_s = time.perf_counter()
    report = run(options.inputs, options.seed)
    document = {
        "machine": describe_machine().sentence(),
        "seed": options.seed,
        "minutes": round((time.perf_counter() - started_s) / 60, 1),
        **report.as_json(),
    }
    text = json.dumps(document, indent=2) + "\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if report.failures or report.crashes or report.hangs:
        sys.exit(1)


def run(inputs: int, seed: int) -> Report:
    report = Report()
    context = multiprocessing.get_context("spawn")
    current = context.Value("q", 0)
    start = 0
    while start < inputs:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(seed, start, inputs, current, sender), daemon=True)
        process.start()
        sender.close()
        hung = not _collect(receiver, report)
        if hung:
            report.hangs.append(current.value)
            process.kill()
        process.join()
        if process.exitcode and not hung:
            report.crashes.append((current.value, process.exitcode))
        start = current.value + 1
    return report


def _collect(receiver: Connection, report: Report) -> bool:
    """Until the process has ended; False where it says nothing for HANG_S."""
    while receiver.poll(HANG_S):
        try:
            report.add(receiver.recv())
        except EOFError:
            return True
    return False


def _child(seed: int, start: int, stop: int, current: Any, sender: Connection) -> None:
    quiet_libraries()
    logging.config.dictConfig(log_config("error"))
    asyncio.run(_throw(seed, start, stop, current, sender))


async def _throw(
    seed: int, start: int, stop: int, current: Any | None, sender: Connection | None
) -> Outcome | None:
    """Inputs [start, stop) one after another; the last one's outcome."""
    warnings.simplefilter("error", RuntimeWarning)  # numpy's: our arithmetic has gone wrong
    seeds, outcome = Seeds(), None
    app = create_app(Settings(models=SHIPPED_MODELS, device="cpu", threads=1))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    process = psutil.Process()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        for index in range(start, stop):
            if current is not None:
                current.value = index
            attack = seeds.attack(seed, index)
            started_s = time.perf_counter()
            status, failure = await _answer(client, attack)
            outcome = Outcome(
                index=index,
                kind=attack.kind,
                status=status,
                seconds=time.perf_counter() - started_s,
                failure=failure,
                memory_mb=None if index % MEMORY_EVERY else process.memory_info().rss / MIB,
            )
            if sender is not None:
                sender.send(outcome)
    return outcome


async def _answer(client: httpx.AsyncClient, attack: Attack) -> tuple[int, str]:
    """Status, and what should not have been."""
    try:
        if attack.kind not in ("route", "body"):
            return status_of(attack.kind, attack.data), ""
        response = await client.post(
            f"/v1/predict{attack.query}", content=attack.data, headers={"Content-Type": FORM}
        )
        kind = response.headers["content-type"]
        return response.status_code, complaint_about(response.status_code, kind, response.text)
    except Exception as error:  # noqa: BLE001  # whatever else comes out of them is what is looked for
        return 0, f"{type(error).__name__}: {error}"[:500]


if __name__ == "__main__":
    main()
