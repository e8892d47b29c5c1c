"""The graph alone by batch size, against its limits; then the service with k HTTP workers.

    python -m benchmarks.gpu BUNDLE [--device cuda|cpu] [--gpu-mode kernels|graphs|tensorrt] ...

Limits: the copy of the inputs to the device; the same graph in bare ONNX Runtime with everything bound to the
device; PyTorch, eager and compiled, where the bundle holds weights. With --device cpu the same code runs on
the CPU: it proves the program, and says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from benchmarks.gpu.contenders import (
    MissingError,
    Model,
    contenders,
    items_per_s,
    load_model,
    make_batch,
    megabytes,
)
from benchmarks.gpu.utilisation import watch
from benchmarks.media import make_examples
from benchmarks.serving.load import LoadError
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.process import ServerError
from benchmarks.serving.running import started
from benchmarks.serving.servers import triad
from triad_serving.contract.device import GpuMode
from triad_serving.contract.errors import TriadError
from triad_serving.inference.bundle import read_bundle

NOT_A_GPU = "Measured on the CPU, through the same code: nothing of this says how fast a GPU is."


@dataclass(frozen=True, kw_only=True)
class EndToEnd:
    """The service with k HTTP workers; gpu: share of the time in which the GPU was busy."""

    workers: int
    concurrency: int
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    gpu: float | None


def main() -> None:
    options = _parse_options()
    machine = describe_machine()
    try:
        model = load_model(read_bundle(options.bundle), options.device, options.gpu_mode)
    except TriadError as error:
        sys.exit(error.detail)
    rates: dict[int, dict[str, float]] = {}
    mb: dict[int, float] = {}
    missing: dict[str, str] = {}
    for size in options.batches:
        batch = make_batch(model.bundle, size, sound_s=options.sound_s)
        mb[size] = megabytes(batch, model.bundle)
        rates[size] = {}
        for name, prepare in contenders(model, batch).items():
            try:
                rates[size][name] = items_per_s(
                    prepare(), size, seconds=options.seconds, rounds=options.rounds
                )
            except (MissingError, RuntimeError) as error:  # out of memory, or no compiler for torch.compile
                missing[name] = f"batch {size}: {str(error).strip().splitlines()[0][:200]}"
    served, failed = serve(model, options)
    missing |= failed
    if options.out:
        document = {
            "machine": asdict(machine),
            "device": model.session.device,
            "gpu_mode": options.gpu_mode,
            "items_per_s": rates,
            "megabytes": mb,
            "served": [asdict(each) for each in served],
            "missing": missing,
        }
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    note = NOT_A_GPU if model.session.device == "cpu" else "Measured on a GPU."
    sys.stdout.write(f"{machine.sentence()} {note}\n\n{markdown(rates, mb, served, missing)}\n")


def serve(model: Model, options: argparse.Namespace) -> tuple[list[EndToEnd], dict[str, str]]:
    """One measurement per number of workers, and why one is missing."""
    served: list[EndToEnd] = []
    failed: dict[str, str] = {}
    for workers in options.workers:
        server = replace(
            triad(options.device, "--workers", "{workers}"), environment={"TRIAD_GPU_MODE": options.gpu_mode}
        )
        try:
            with started(server, options.bundle.resolve(), workers=workers) as running:
                files = running.write("all", make_examples(sound_s=options.sound_s))
                running.drive(files, concurrency=options.concurrency, seconds=1)
                seconds = options.seconds * options.rounds
                load = partial(running.measure, files, concurrency=options.concurrency, seconds=seconds)
                measured, gpu = watch(load)
        except (ServerError, LoadError) as error:
            failed[f"{workers} workers"] = str(error).strip().splitlines()[-1][:200]
            continue
        served.append(
            EndToEnd(
                workers=workers,
                concurrency=options.concurrency,
                rps=measured.rps,
                p50_ms=measured.p50_ms,
                p99_ms=measured.p99_ms,
                errors=measured.errors + measured.refused,
                gpu=gpu if model.device == "cuda" else None,
            )
        )
    return served, failed


def markdown(
    rates: Mapping[int, Mapping[str, float]],
    mb: Mapping[int, float],
    served: Sequence[EndToEnd],
    missing: Mapping[str, str],
) -> str:
    """Items a second by batch size, then the service beside the best of the bare graph."""
    names = list(dict.fromkeys(name for by_name in rates.values() for name in by_name))
    lines = [
        f"| items/s at batch | MB | {' | '.join(names)} |",
        f"| --- | ---: | {' | '.join(['---:'] * len(names))} |",
    ]
    for size, by_name in rates.items():
        cells = (_rate(by_name[name]) if name in by_name else "" for name in names)
        lines.append(f"| {size} | {mb[size]:.2f} | {' | '.join(cells)} |")
    best = max((by_name.get("bare ONNX Runtime", 0.0) for by_name in rates.values()), default=0.0)
    lines += [
        "",
        "| HTTP workers | clients | requests/s | of the bare graph | p50 ms | p99 ms | errors | GPU busy |",
    ]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for each in served:
        share = f"{each.rps / best:.2f}" if best else ""
        busy = f"{each.gpu:.0%}" if each.gpu is not None else ""
        lines.append(
            f"| {each.workers} | {each.concurrency} | {_rate(each.rps)} | {share} | {each.p50_ms:.1f} "
            f"| {each.p99_ms:.1f} | {each.errors} | {busy} |"
        )
    lines += ["", *(f"- {name}: {reason}" for name, reason in missing.items())]
    return "\n".join(lines).strip()


def _rate(per_s: float) -> str:
    return f"{per_s:.1f}" if per_s < 20 else f"{per_s:.0f}"


def _parse_options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--gpu-mode", choices=get_args(GpuMode), default="kernels", help="how the service's session runs"
    )
    parser.add_argument("--batches", type=numbers, default=[1, 8, 32, 128])
    parser.add_argument("--workers", type=numbers, default=[1, 2, 4], help="HTTP workers, one run each")
    parser.add_argument("--concurrency", type=int, default=64, help="clients of the service")
    parser.add_argument("--seconds", type=float, default=2, help="of one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sound-s", type=float, default=1.0)
    parser.add_argument("--out", type=Path, help="JSON to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
