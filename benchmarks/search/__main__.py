"""`build` makes an index of many vectors; `measure` says what it costs, finds, and answers through HTTP.

python -m benchmarks.search build --mnist DIR --rows 1000000 --out DIR
python -m benchmarks.search measure --out DIR
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.directly import K, ask_directly
from benchmarks.search.vectors import QUERIES, WIDTH, random_vectors, real_vectors
from benchmarks.serving.bodies import BOUNDARY, write_requests
from benchmarks.serving.load import drive
from benchmarks.serving.process import ServerProcess, free_port
from triad_serving.contract.arrays import F32, I64
from triad_serving.inference.bundle import MODEL_FILE, read_bundle
from triad_serving.search.index import Index, Query, fold, vectors_folder
from triad_serving.search.store import About, NewRow, Store
from triad_serving.search.vectors import best
from triad_serving.settings import SHIPPED_MODELS, usable_cores

PART = "image"
RESULTS = Path(__file__).parents[1] / "results" / "search.json"
SHOPS = 50
SENT = 64  # different requests


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    commands = parser.add_subparsers(required=True)
    build = commands.add_parser("build")
    build.add_argument("--mnist", type=Path, help="Folder of MNIST's files. Default: random vectors alone.")
    build.add_argument("--rows", type=int, default=1_000_000)
    build.add_argument("--vectors", choices=["float32", "float16", "int8"], default="float32")
    build.add_argument("--threads", type=int, default=usable_cores())
    build.set_defaults(run=build_index)
    measure = commands.add_parser("measure")
    measure.add_argument("--seconds", type=float, default=10)
    measure.add_argument("--concurrency", type=lambda text: [*map(int, text.split(","))], default=[1, 2, 8])
    measure.add_argument("--results", type=Path, default=RESULTS)
    measure.set_defaults(run=measure_index)
    for command in (build, measure):
        command.add_argument("--out", type=Path, required=True, help="The folder of the index.")
    asked = parser.parse_args()
    asked.run(asked)


def build_index(asked: argparse.Namespace) -> None:
    manifest = read_bundle(SHIPPED_MODELS / "digits" / "1").manifest
    about = About(
        bundle="",
        model=manifest.name,
        version=manifest.version,
        graph=manifest.files[MODEL_FILE],
        parts=(PART,),
        width=WIDTH,
        vectors=asked.vectors,
        columns={"shop": "string", "price": "number"},
        table="made up",
        options={},
    )
    real_ND = real_vectors(asked.mnist) if asked.mnist else np.zeros((0, WIDTH), np.float32)
    rng = np.random.default_rng(1)
    queries_QD = np.concatenate([next(random_vectors(QUERIES, 2)), _held_out(real_ND, rng)])
    store = Store.create(asked.out, about)
    started_s = time.perf_counter()
    truth = np.zeros((len(queries_QD), 0), np.int64), np.zeros((len(queries_QD), 0), np.float32)
    stored, exact_s = 0, 0.0
    for vectors_ND in _pieces(real_ND[: len(real_ND) - QUERIES], asked.rows):
        ids = range(stored, stored + len(vectors_ND))
        store.put(
            [
                NewRow(
                    id=str(n),
                    columns={"shop": f"shop {n % SHOPS}", "price": n % 997},
                    vectors_D={PART: vector_D},
                )
                for n, vector_D in zip(ids, vectors_ND, strict=True)
            ]
        )
        stored += len(vectors_ND)
        before_s = time.perf_counter()
        truth = _merged(truth, np.array(ids, np.int64), queries_QD @ vectors_ND.T)
        exact_s += time.perf_counter() - before_s
    store.finish()
    stored_s = time.perf_counter() - started_s - exact_s
    started_s = time.perf_counter()
    done = 0

    def tell(count: int, total: int) -> None:
        nonlocal done
        done += count
        sys.stderr.write(f"{done} of {total}, {time.perf_counter() - started_s:.0f} s\n")

    fold(asked.out, threads=asked.threads, on_vectors=tell)
    built = {
        "rows": stored,
        "width": WIDTH,
        "real": max(0, len(real_ND) - QUERIES),
        "vectors": asked.vectors,
        "threads": asked.threads,
        "store_s": round(stored_s, 1),
        "build_s": round(time.perf_counter() - started_s, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    np.savez(asked.out / "queries.npz", queries=queries_QD, truth=truth[0])
    (asked.out / "built.json").write_text(json.dumps(built))
    sys.stdout.write(json.dumps(built) + "\n")


def _held_out(real_ND: F32, rng: np.random.Generator) -> F32:
    """The last of the real vectors, which are not indexed."""
    rng.shuffle(real_ND)
    return real_ND[len(real_ND) - min(QUERIES, len(real_ND)) :]


def _pieces(real_ND: F32, rows: int) -> Iterator[F32]:
    for start in range(0, len(real_ND), 10_000):
        yield real_ND[start : start + 10_000]
    yield from random_vectors(rows - len(real_ND), 1)


def _merged(truth: tuple[I64, F32], ids_N: I64, scores_QN: F32) -> tuple[I64, F32]:
    """The K closest of those so far and of these, for each query."""
    found = [
        best(np.concatenate([own_ids, ids_N]), np.concatenate([own_scores, scores_N]), K)
        for own_ids, own_scores, scores_N in zip(*truth, scores_QN, strict=True)
    ]
    return np.stack([ids for ids, _ in found]), np.stack([scores for _, scores in found])


def measure_index(asked: argparse.Namespace) -> None:
    kept = np.load(asked.out / "queries.npz")
    queries_QD, truth_QK = kept["queries"], kept["truth"]
    built = json.loads((asked.out / "built.json").read_text())
    cores = usable_cores()
    index = Index(asked.out.absolute())
    found = [
        {hit.row.id for hit in index.search(Query(vectors_D={PART: query_D}, k=K))} for query_D in queries_QD
    ]
    hits_Q = [len(ids & set(map(str, truth_K))) / K for ids, truth_K in zip(found, truth_QK, strict=True)]
    files = vectors_folder(asked.out, index.store.state().generation)
    measured: dict[str, Any] = {
        **built,
        "cores": cores,
        "recall_at_10": round(float(np.mean(hits_Q)), 4),
        "recall_at_10_random": round(float(np.mean(hits_Q[:QUERIES])), 4),
        "recall_at_10_real": round(float(np.mean(hits_Q[QUERIES:])), 4) if len(hits_Q) > QUERIES else None,
        "vector_files_mib": sum(file.stat().st_size for file in files.iterdir()) // 2**20,
        "rows_file_mib": (asked.out / "rows.sqlite").stat().st_size // 2**20,
        "directly": ask_directly(files / f"{PART}.usearch", queries_QD, asked.seconds, cores),
    }
    measured["http"] = list(_through_http(asked, queries_QD, cores))
    most = max(each["per_s"] for each in measured["http"])
    measured["http_of_directly"] = round(most / measured["directly"]["per_s"], 3)
    asked.results.write_text(json.dumps(measured, indent=2) + "\n")
    sys.stdout.write(json.dumps(measured, indent=2) + "\n")


def _through_http(asked: argparse.Namespace, queries_QD: F32, cores: int) -> Iterator[dict[str, float]]:
    chosen = np.random.default_rng(0).choice(len(queries_QD), SENT, replace=False)
    requests = [_request(queries_QD[n].tolist()) for n in chosen]
    port = free_port()
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", str(port)]
    command += ["--workers", str(cores), "--index", str(asked.out)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sent = write_requests(root / "requests", requests)
        with ServerProcess(command, environment={}, folder=Path(), log=root / "log") as server:
            server.wait_until_ready(port, requests[0])
            drive(sent, port=port, concurrency=2 * cores, seconds=2)
            for concurrency in asked.concurrency:
                load = drive(sent, port=port, concurrency=concurrency, seconds=asked.seconds)
                yield {
                    "concurrency": concurrency,
                    "per_s": round(load.ok / load.seconds, 1),
                    "p50_ms": load.p50_ms,
                    "p99_ms": load.p99_ms,
                    "failed": load.failed + load.lost + load.refused,
                    "memory_mib": round(server.memory_mb()),
                }


def _request(vector: Sequence[float]) -> bytes:
    head = '--{}\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    numbers = json.dumps([round(number, 7) for number in vector])
    body = f"{head.format(BOUNDARY, 'vector')}{numbers}\r\n--{BOUNDARY}--\r\n".encode()
    lines = ["POST /v1/search HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: multipart/form-data; boundary={BOUNDARY}", "", ""]
    return "\r\n".join(lines).encode() + body


if __name__ == "__main__":
    main()
