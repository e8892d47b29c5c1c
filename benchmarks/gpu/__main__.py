"""Everything that a GPU has to show, in one run of less than 8 minutes: right answers first, then how fast.

    python -m benchmarks.gpu [--table MANIFEST] [--out FILE]
    python -m benchmarks.gpu --device cpu --quick     a rehearsal without a GPU, which proves the program

Providers and versions; agreement with the CPU; the graph alone by batch size, in every mode, on 32 and 16
bits; the service in front of it; an epoch of training. Each step runs in a process of its own, and what it
found, or why it failed, is in --out before the next one begins. Without network: README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.contenders import BARE, SESSION
from benchmarks.gpu.record import Found, Record
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.servers import ROOT
from triad_serving.contract.device import GpuMode
from triad_serving.settings import usable_cores

NOT_A_GPU = "Measured on the CPU, through the same code: nothing of this says how fast a GPU is."
MODES: tuple[GpuMode, ...] = ("kernels", "graphs", "tensorrt")
SINGLE_LIMIT, HALF_LIMIT = 1e-3, 3e-2  # largest difference from the CPU's answers
SOUND_S = {"digits": 1.0, "large": 10.0, "pretrained": 4.0}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured. rows: of training."""

    device: str
    models: tuple[str, ...]
    modes: tuple[GpuMode, ...]
    sizes: tuple[int, ...]
    seconds: float
    serve_seconds: float
    concurrency: int
    workers: tuple[int, ...]
    rows: int
    table: Path | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see whether it runs")
    parser.add_argument("--models", type=lambda text: tuple(text.split(",")), default=tuple(SOUND_S))
    parser.add_argument(
        "--table", type=Path, help="TriDigits' manifest.csv to train on; else one made by code"
    )
    parser.add_argument("--limit-s", type=float, default=480, help="steps past it are skipped")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/gpu.json")
    options = parser.parse_args()
    plan = Plan(
        device=options.device,
        models=options.models,
        modes=MODES if options.device == "cuda" else MODES[:2],
        sizes=(1, 4) if options.quick else (1, 4, 16, 64, 256),
        seconds=0.1 if options.quick else 0.4,
        serve_seconds=1 if options.quick else 4,
        concurrency=4 if options.quick else 128,
        workers=(1,) if options.quick else (1, 2, 4),
        rows=128 if options.quick else 4000,
        table=options.table,
    )
    about = {"machine": describe_machine().sentence(), "device": options.device}
    record = Record(options.out, about=about, limit_s=options.limit_s)
    with tempfile.TemporaryDirectory(prefix="triad-gpu-bundles-") as folder:
        run_all(record, plan, folder)
    sys.stdout.write(f"{markdown(record.document)}\n")


def run_all(record: Record, plan: Plan, folder: str) -> None:
    """The steps that tell most come first."""
    record.step("versions", "versions", 60, device=plan.device)
    paths: dict[str, str] = {}
    for name in plan.models:
        made = record.step(f"{name}: bundle", "bundle", 120, name=name, folder=folder)
        if made is None:
            continue
        paths[name] = made["path"]
        check(record, plan, name, paths[name])
        narrow = record.step(f"{name}: bundle, 16 bits", "half", 60, original=paths[name], folder=folder)
        if narrow is not None:
            paths[f"{name}, 16 bits"] = narrow["path"]
        for own in (each for each in (name, f"{name}, 16 bits") if each in paths):
            measure(record, plan, own, paths[own])
        if narrow is not None:
            half = f"{name}, 16 bits"
            agree(record, plan, half, paths[half], reference=paths[name], mode="kernels", limit=HALF_LIMIT)
        if name == plan.models[0]:
            train(record, plan)
    for own, path in served(paths):
        for workers in plan.workers:
            serve(record, plan, own, path, workers)


def check(record: Record, plan: Plan, name: str, path: str) -> None:
    sound_s = SOUND_S[name]
    record.step(f"{name}: placement", "placement", 60, path=path, device=plan.device, sound_s=sound_s)
    for mode in plan.modes:
        agree(record, plan, name, path, reference=path, mode=mode, limit=SINGLE_LIMIT)
    if name == "digits":
        for mode in plan.modes[:2]:
            record.step(
                f"{name}: whole requests, {mode}",
                "engine",
                60,
                path=path,
                device=plan.device,
                gpu_mode=mode,
                requests=28 if plan.seconds < 0.2 else 256,
                sound_s=SOUND_S[name],
            )
        record.step(f"{name}: memory cap", "memory", 60, path=path, device=plan.device)


def agree(
    record: Record, plan: Plan, own: str, path: str, *, reference: str, mode: GpuMode, limit: float
) -> None:
    record.step(
        f"{own}: agrees with the CPU, {mode}",
        "agree",
        150 if mode == "tensorrt" else 75,
        path=path,
        reference=reference,
        device=plan.device,
        gpu_mode=mode,
        sizes=[2, 3, 7, *plan.sizes],
        sound_s=min(SOUND_S[_model(own)], 4.0),
        limit=limit,
    )


def measure(record: Record, plan: Plan, own: str, path: str) -> None:
    for mode in plan.modes:
        record.step(
            f"{own}: speed, {mode}",
            "speed",
            150 if mode == "tensorrt" else 75,
            path=path,
            device=plan.device,
            gpu_mode=mode,
            only=None if mode == "kernels" else [SESSION],
            sizes=plan.sizes if mode != "tensorrt" else plan.sizes[-2:],
            seconds=plan.seconds,
            sound_s=SOUND_S[_model(own)],
        )


def serve(record: Record, plan: Plan, own: str, path: str, workers: int) -> None:
    record.step(
        f"{own}: served by {workers}",
        "serve",
        90,
        path=path,
        device=plan.device,
        gpu_mode="kernels",
        workers=workers,
        concurrency=plan.concurrency,
        seconds=plan.serve_seconds,
        sound_s=SOUND_S[_model(own)],
    )


def train(record: Record, plan: Plan) -> None:
    """On the device with bf16, and beside it fewer rows on the CPU."""
    workers = max(1, min(usable_cores() - 2, 12))
    common = {"table": plan.table and plan.table.resolve(), "workers": workers}
    title = "training on the GPU, bf16"
    if plan.device == "cuda":
        record.step(title, "train", 120, device="cuda", rows=plan.rows, precision="bf16", **common)
    else:
        record.skip(title, "There is no GPU.")
    rows = max(plan.rows // 8, 128)
    record.step("training on the CPU", "train", 90, device="cpu", rows=rows, precision="no", **common)


def served(paths: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The larger model first, for which a GPU is bought."""
    for own in ("large", "large, 16 bits", "digits"):
        if own in paths:
            yield own, paths[own]


def markdown(document: Mapping[str, Any]) -> str:
    """Tables of what was found, and what was not."""
    steps: Mapping[str, Found] = document["steps"]
    found = {title: step["found"] for title, step in steps.items() if "found" in step}
    cpu = found.get("versions", {}).get("session", document["device"]) == "cpu"
    gpu = found.get("versions", {}).get("gpu")
    lines = [document["machine"], NOT_A_GPU if cpu else f"Measured on {gpu}.", ""]
    lines += ["| items/s | mode | batch | " + " | ".join(CONTENDERS) + " |"]
    lines += ["| --- | --- | ---: |" + " ---: |" * len(CONTENDERS)]
    for title, each in found.items():
        if "items_per_s" in each:
            own, mode = title.split(": speed, ")
            for size in each["megabytes"]:
                cells = (_rate(each["items_per_s"].get(name, {}).get(size)) for name in CONTENDERS)
                lines.append(f"| {own} | {mode} | {size} | {' | '.join(cells)} |")
    lines += [
        "",
        "| served | workers | requests/s | of the bare graph | p50 ms | p99 ms | errors | GPU busy |",
    ]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for title, each in found.items():
        if ": served by " in title:
            own, workers = title.split(": served by ")
            share = each["rps"] / best if (best := best_bare(found, own)) else None
            lines.append(
                f"| {own} | {workers} | {_rate(each['rps'])} | {f'{share:.2f}' if share else ''} "
                f"| {each['p50_ms']:.1f} | {each['p99_ms']:.1f} | {each['errors'] + each['refused']} "
                f"| {_share(each['gpu'])} |"
            )
    lines += ["", "| training | s per 1000 examples | waiting for data |", "| --- | ---: | ---: |"]
    for title, each in found.items():
        if "s_per_1000" in each:
            lines.append(f"| {title} | {each['s_per_1000']:.2f} | {each['waiting']:.0%} |")
    lines += ["", *(f"- {title}: {word}" for title, word in _words(steps))]
    return "\n".join(lines).strip()


CONTENDERS = ("copy to the device", BARE, "bare ONNX Runtime, TF32", SESSION, "PyTorch")


def best_bare(found: Mapping[str, Found], own: str) -> float:
    """Items a second of the best batch; 0 where it was not measured."""
    rates = found.get(f"{own}: speed, kernels", {}).get("items_per_s", {})
    return max(rates.get(BARE, {}).values(), default=0.0)


def _words(steps: Mapping[str, Found]) -> Iterator[tuple[str, str]]:
    """What disagreed, failed, was skipped, or was missing in a step."""
    for title, step in steps.items():
        found = step.get("found", {})
        if "agrees" in found:
            worst = max(found["differences"].items(), key=lambda item: float(item[1]))
            verdict = "agrees" if found["agrees"] else "DISAGREES"
            yield (
                title,
                f"{verdict}: at most {float(worst[1]):.1e} ({worst[0]}), allowed {found['limit']:.0e}",
            )
        elif "probability" in found or "memcpy" in found:
            yield title, ", ".join(f"{name} {value}" for name, value in found.items())
        for name, reason in found.get("missing", {}).items():
            yield title, f"{name}: {reason}"
        if "error" in step:
            yield title, f"FAILED: {' '.join(step['error'].split())[-300:]}"
        if "skipped" in step:
            yield title, f"skipped: {step['skipped']}"


def _model(own: str) -> str:
    return own.partition(",")[0]


def _rate(per_s: float | None) -> str:
    if per_s is None:
        return ""
    return f"{per_s:.1f}" if per_s < 20 else f"{per_s:.0f}"


def _share(share: float | None) -> str:
    return f"{share:.0%}" if share is not None else ""


if __name__ == "__main__":
    main()
