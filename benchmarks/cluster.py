"""What a Ray cluster of two nodes on this machine answers, loses and scores; needs `pip install '.[ray]'`.

python -m benchmarks.cluster [--cases answers,throughput,kill,growth,table] [--seconds 10] [--out FILE]

`answers`: each replica answers as `triad serve` does. `throughput`: connections that ask again at once, with
1 and 2 replicas. `kill`: SIGKILL of one of two replicas under a client that asks again where it got none,
or one of `AGAIN`; retries and failures are counted. `growth`: how long until there are two replicas. `table`:
rows scored by Ray Data, beside the engine in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import functools
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults import ROOT, read_answer, serving
from benchmarks.media import make_examples
from benchmarks.serving.bodies import multipart_request
from benchmarks.serving.process import free_port
from triad_serving.cluster.replicas import NAME, Scale, application
from triad_serving.cluster.scoring import Pool, score_with_ray
from triad_serving.engine.engine import Engine
from triad_serving.inference.options import Options
from triad_serving.scoring.score import Scoring
from triad_serving.settings import Settings

AGAIN = {
    500,
    502,
    503,
}  # 500 is Ray's answer where the replica died: asking again does no harm, nothing is stored
TRIES = 8
LIMIT_S = 120.0
PLAIN, HEAVY = "/v1/predict", "/v1/predict?explain=all"
ROWS = 2000
STORE_BYTES = 80 * 2**20  # of each node: requests do not go through it


@dataclass(kw_only=True)
class Count:
    """again: tries that were repeated, by why. failed: requests without an answer after TRIES."""

    answered: int = 0
    again: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        return {
            "answered": self.answered,
            "tried again": dict(self.again),
            "failed": dict(self.failed),
        }


class Client:
    """Connections that ask again and again; where a request got no answer, it is sent once more."""

    def __init__(self, port: int, requests: Sequence[bytes], *, connections: int) -> None:
        self.count = Count()
        self._port = port
        self._requests = requests
        self._stopping = False
        self._arrived = asyncio.Event()
        self._tasks = [asyncio.create_task(self._ask(first)) for first in range(connections)]

    async def answered(self, more: int) -> None:
        goal = self.count.answered + more
        async with asyncio.timeout(LIMIT_S):
            while self.count.answered < goal:
                self._arrived.clear()
                await self._arrived.wait()

    async def stop(self) -> Count:
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), LIMIT_S)
        return self.count

    async def _ask(self, number: int) -> None:
        connection = Connection(self._port)
        while not self._stopping:
            request = self._requests[number % len(self._requests)]
            number += 1
            reason = ""
            for attempt in range(TRIES):
                reason = await connection.send(request)
                if not reason:
                    self.count.answered += 1
                    self._arrived.set()
                    break
                self.count.again[reason] += 1
                await asyncio.sleep(0.05 * 2**attempt)
            else:
                self.count.failed[reason] += 1
        connection.close()


class Connection:
    """To one port, opened again where it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> str:
        """Empty where the answer is 200, else why to ask again. Raises RuntimeError at other statuses."""
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(request)
            status, closing = await read_answer(self._reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            return type(error).__name__
        if closing:
            self.close()
        if status == 200:
            return ""
        if status not in AGAIN:
            raise RuntimeError(f"answered {status}")
        return str(status)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@contextmanager
def cluster(cpus: int) -> Iterator[None]:
    """Two nodes of so many cores each, as Ray counts them, and this process connected to them."""
    import ray
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=arguments)
    try:
        nodes.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES)
        ray.init(address=nodes.address, log_to_driver=False)
        yield
    finally:
        ray.shutdown()
        nodes.shutdown()


@contextmanager
def deployed(models: Path, scale: Scale, port: int) -> Iterator[None]:
    from ray import serve

    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    serve.run(application(Settings(models=models), scale), name=NAME, route_prefix="/")
    try:
        yield
    finally:
        serve.delete(NAME)


def replicas() -> dict[int, int]:
    """Process ids of the running replicas, and of the nodes that they belong to (their raylets)."""
    found = {}
    for process in psutil.process_iter(["cmdline", "ppid"]):
        if " ".join(process.info["cmdline"] or ()).startswith(f"ray::ServeReplica:{NAME}:"):
            found[process.pid] = process.info["ppid"]
    return found


def requests_to(path: str) -> list[bytes]:
    return [multipart_request(raw, path) for raw in make_examples()]


async def bodies(port: int, requests: Sequence[bytes], rounds: int = 1) -> list[Any]:
    """The JSON answers, without their ids, on a connection each."""
    answers = []
    for request in [each for each in requests for _ in range(rounds)]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert b" 200 " in head.splitlines()[0], (head, body)
        answers.append({name: value for name, value in json.loads(body).items() if name != "id"})
    return answers


def distance(left: Any, right: Any) -> float:
    """Largest difference of two numbers at the same place; infinite where anything else differs."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        return max((distance(left[key], right[key]) for key in left), default=0.0)
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return max(map(distance, left, right), default=0.0)
    if isinstance(left, float) and isinstance(right, float | int):
        return abs(left - right)
    return 0.0 if left == right else float("inf")


async def compare_answers(trial: Trial) -> dict[str, Any]:
    """Of `triad serve` and of two replicas, each asked several times over."""
    requests = requests_to("/v1/predict?attention=full&explain=all")
    async with serving("--models", str(trial.models), "--workers", "1") as (_, single):
        expected = await bodies(single, requests)
    with deployed(trial.models, Scale(min_replicas=2, max_replicas=2), trial.port):
        rounds = 8  # so that both replicas are asked
        found = await bodies(trial.port, requests, rounds)
        nodes = len(set(replicas().values()))
    distances = [distance(expected[n // rounds], answer) for n, answer in enumerate(found)]
    return {
        "answers compared": len(found),
        "nodes with replicas": nodes,
        "largest difference": max(distances),
    }


async def measure_throughput(trial: Trial) -> dict[str, Any]:
    """Requests a second; the client, the proxy and the replicas share this machine's cores."""
    result: dict[str, Any] = {}
    for number in (1, 2):
        with deployed(trial.models, Scale(min_replicas=number, max_replicas=number), trial.port):
            for name, path in (("plain", PLAIN), ("explained", HEAVY)):
                client = Client(trial.port, requests_to(path), connections=trial.connections)
                await client.answered(5 * trial.connections)
                before, started_s = client.count.answered, time.perf_counter()
                await asyncio.sleep(trial.seconds)
                rate = (client.count.answered - before) / (time.perf_counter() - started_s)
                count = await client.stop()
                assert not count.failed, count
                result[f"{name}, {number} replicas"] = round(rate, 1)
            memory = [psutil.Process(pid).memory_full_info().uss / 2**20 for pid in replicas()]
            result[f"MiB of each replica alone, {number} replicas"] = [round(each) for each in memory]
    return result


async def kill_a_replica(trial: Trial) -> dict[str, Any]:
    """Goes on until another one has taken its place, and some requests more."""
    with deployed(trial.models, Scale(min_replicas=2, max_replicas=2), trial.port):
        client = Client(trial.port, requests_to(PLAIN), connections=trial.connections)
        await client.answered(200)
        before = set(replicas())
        killed_s = time.perf_counter()
        os.kill(min(before), signal.SIGKILL)
        while len(set(replicas()) - before) < 1:
            await client.answered(20)
        await client.answered(200)
        replaced_s = time.perf_counter() - killed_s
        count = await client.stop()
    return {**count.document(), "replaced within s": round(replaced_s, 1)}


async def grow(trial: Trial) -> dict[str, Any]:
    scale = Scale(min_replicas=1, max_replicas=2, queue=2, upscale_delay_s=1)
    with deployed(trial.models, scale, trial.port):
        client = Client(trial.port, requests_to(HEAVY), connections=trial.connections)
        started_s = time.perf_counter()
        while len(replicas()) < 2:
            await client.answered(5)
        grown_s = time.perf_counter() - started_s
        count = await client.stop()
    return {**count.document(), "two replicas after s": round(grown_s, 1)}


async def score_table(trial: Trial) -> dict[str, Any]:
    """Seconds are of the scoring alone, engines' start included."""
    result: dict[str, Any] = {"rows": ROWS}
    settings = Settings(models=trial.models)
    with tempfile.TemporaryDirectory() as name, Engine.open(trial.models, settings) as engine:
        folder = Path(name)
        table = write_table(folder)
        written = []
        for ray_engines in (0, 1, 2):
            out = folder / f"{ray_engines}.csv"
            scoring = Scoring(engine, table, out, options=Options())
            by_ray = functools.partial(score_with_ray, settings=settings, pool=Pool(engines=ray_engines))
            started_s = time.perf_counter()
            done = sum(1 for _ in (scoring.run_by(by_ray) if ray_engines else scoring.run(1)))
            assert done == ROWS, done
            what = f"Ray, {ray_engines} engines: s" if ray_engines else "this process: s"
            result[what] = round(time.perf_counter() - started_s, 1)
            result["failed"] = scoring.write().failed
            written.append(list(csv.DictReader(out.open(encoding="utf-8", newline=""))))
    for rows in written[1:]:
        difference = max(distance(parsed(a), parsed(b)) for a, b in zip(written[0], rows, strict=True))
        result["largest difference"] = max(result.get("largest difference", 0.0), difference)
    return result


def write_table(folder: Path) -> Path:
    """ROWS rows of all media, one of which names a picture that is not there."""
    examples = make_examples()
    for number, raw in enumerate(examples):
        assert raw.image
        assert raw.audio
        (folder / f"{number}.jpg").write_bytes(raw.image)
        (folder / f"{number}.wav").write_bytes(raw.audio)
    table = folder / "metadata.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "image_file_name", "audio_file_name"])
        for row in range(ROWS):
            number = row % len(examples)
            image = "missing.jpg" if row == 1 else f"{number}.jpg"
            writer.writerow([examples[number].text, image, f"{number}.wav"])
    return table


def parsed(row: Mapping[str, str]) -> dict[str, str | float]:
    """Cells that are numbers as such."""
    return {key: float(cell) if "." in cell else cell for key, cell in row.items()}


@dataclass(frozen=True, kw_only=True)
class Trial:
    models: Path
    port: int
    connections: int
    seconds: float


CASES: Mapping[str, Callable[[Trial], Awaitable[dict[str, Any]]]] = {
    "answers": compare_answers,
    "throughput": measure_throughput,
    "kill": kill_a_replica,
    "growth": grow,
    "table": score_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=ROOT / "service/triad_serving/models")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()

    trial = Trial(
        models=options.models.resolve(),
        port=free_port(),
        connections=options.connections,
        seconds=options.seconds,
    )
    results = {}
    with cluster(cpus=1):
        for case in options.cases.split(","):
            results[case] = asyncio.run(CASES[case](trial))
            sys.stdout.write(json.dumps({case: results[case]}) + "\n")
            sys.stdout.flush()
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
