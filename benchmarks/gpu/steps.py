"""The steps of the run on a GPU, one in a process: `python -m benchmarks.gpu.steps NAME ARGUMENTS OUT`.

ARGUMENTS: JSON. OUT: a file that gets what was found, as JSON.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.gpu.agreement import compare_engines, compare_sessions
from benchmarks.gpu.bundles import make_bundle, make_half
from benchmarks.gpu.contenders import (
    Device,
    MissingError,
    Model,
    contenders,
    items_per_s,
    make_batch,
    megabytes,
    open_session,
)
from benchmarks.gpu.utilisation import watch
from benchmarks.media import make_examples
from benchmarks.pipeline import WANTED
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.running import started
from benchmarks.serving.servers import triad
from triad_serving.contract.device import GpuMode
from triad_serving.contract.errors import TriadError
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.runtime import loads
from triad_serving.inference.session import Session
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings, usable_cores

LIBRARIES = ("libcuda.so.1", "libcudart.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libnvinfer.so.10")
PACKAGES = ("onnxruntime-gpu", "torch", "onnx", "accelerate", "numpy", "fastapi", "nvidia-cudnn-cu13")
GPU_QUERY = (
    "--query-gpu=name,driver_version,memory.total,memory.used,clocks.max.sm",
    "--format=csv,noheader",
)
CAPPED_MIB, TOO_FEW_MIB = 1024, 1


def versions(*, device: Device) -> dict[str, Any]:
    """Which providers there are, what loads, and whether a session really is on the device."""
    import onnxruntime

    from triad_serving.inference import runtime

    onnxruntime.preload_dlls()
    smi = shutil.which("nvidia-smi")
    asked = subprocess.run([smi, *GPU_QUERY], capture_output=True, text=True, check=False) if smi else None
    found = {
        "machine": asdict(describe_machine()),
        "packages": {name: _version(name) for name in PACKAGES},
        "built": onnxruntime.get_build_info(),
        "providers": onnxruntime.get_available_providers(),
        "libraries": {name: loads(name) for name in LIBRARIES},
        "within reach": runtime.cuda_within_reach(),
        "gpu": asked and asked.stdout.strip(),
    }
    session = open_session(read_bundle(make_bundle("digits", Path())), device)
    return {**found, "session": session.device}


def bundle(*, name: str, folder: str) -> dict[str, Any]:
    return {"path": str(make_bundle(name, Path(folder)))}


def half(*, original: str, folder: str) -> dict[str, Any]:
    return {"path": str(make_half(Path(original), Path(folder)))}


def placement(*, path: str, device: Device, sound_s: float) -> dict[str, Any]:
    """How many nodes ran where, those on the CPU by their operator; shapes belong there.

    memcpy: copies between the two in the middle of the graph, any of which keeps CUDA graphs from recording.
    ONNX Runtime moves a node whose operator's version has no kernel on CUDA (its issue 27729).
    """
    import onnxruntime  # behind triad_serving.inference.runtime, which turns its telemetry off

    from triad_serving.inference.runtime import cuda_options

    bundle = read_bundle(Path(path))
    open_session(bundle, device)  # loads CUDA's libraries
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="triad-profile-") as folder:
        options.profile_file_prefix = f"{folder}/profile"
        cuda = [("CUDAExecutionProvider", cuda_options(None))] if device == "cuda" else []
        session = onnxruntime.InferenceSession(
            str(bundle.model_path), options, providers=[*cuda, "CPUExecutionProvider"]
        )
        session.run(None, pack_batch(make_batch(bundle, 2, sound_s=sound_s), bundle.spec))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = [event["args"] for event in events if event.get("cat") == "Node" and "provider" in event["args"]]
    on_cpu = Counter(each["op_name"] for each in ran if each["provider"] == "CPUExecutionProvider")
    return {
        "nodes": dict(Counter(each["provider"] for each in ran)),
        "on the CPU": dict(on_cpu) if device == "cuda" else {},
        "memcpy": sum(each["op_name"].startswith("Memcpy") for each in ran),
    }


def agree(
    *,
    path: str,
    reference: str,
    device: Device,
    gpu_mode: GpuMode,
    sizes: Sequence[int],
    sound_s: float,
    limit: float,
) -> dict[str, Any]:
    """reference: a bundle in single precision, which runs on the CPU."""
    own = read_bundle(Path(path))
    examples = make_batch(own, 4, sound_s=sound_s)
    differences = compare_sessions(
        open_session(own, device, gpu_mode),
        open_session(read_bundle(Path(reference)), "cpu"),
        examples,
        sizes,
    )
    beyond = [name for name, apart in differences.items() if not apart <= limit]  # a NaN is, too
    return {"limit": limit, "differences": differences, "beyond": beyond, "agrees": not beyond}


def engine(*, path: str, device: Device, gpu_mode: GpuMode, requests: int, sound_s: float) -> dict[str, Any]:
    """Whole requests, many at once, beside the CPU's engine; and which graph was taken."""
    models = Path(path)
    own = Settings(models=models, device=device, gpu_mode=gpu_mode, precision="auto")
    other = Settings(models=models, device="cpu", precision="single")
    with Engine.open(models, own) as one, Engine.open(models, other) as two:
        found = compare_engines(one, two, requests=requests, sound_s=sound_s)
        return {**found, "device": one.catalog.find().session.device}


def memory(*, path: str, device: Device) -> dict[str, Any]:
    """A cap that is enough, and one that is not: it has to end in one sentence, not in a crash."""
    found: dict[str, Any] = {}
    own = read_bundle(Path(path))
    batch = make_batch(own, 32, sound_s=1.0)
    for cap_mib in (CAPPED_MIB, TOO_FEW_MIB):
        try:
            session = Session(
                own.model_path, spec=own.spec, tasks=own.tasks, device=device, gpu_memory_mib=cap_mib
            )
            session.run(batch, WANTED)
            found[f"{cap_mib} MiB"] = "ran"
        except Exception as error:  # noqa: BLE001  # whatever the runtime raises is what is asked here
            found[f"{cap_mib} MiB"] = f"{type(error).__name__}: {str(error)[:300]}"
    return found


def speed(
    *,
    path: str,
    device: Device,
    gpu_mode: GpuMode,
    only: Sequence[str] | None,
    sizes: Sequence[int],
    seconds: float,
    sound_s: float,
) -> dict[str, Any]:
    """Items a second by batch size; only: names of contenders, all where None."""
    model = Model(read_bundle(Path(path)), device, gpu_mode)
    rates: dict[str, dict[str, float]] = {}
    inputs_mb: dict[str, float] = {}
    missing: dict[str, str] = {}
    for size in sizes:
        batch = make_batch(model.bundle, size, sound_s=sound_s)
        inputs_mb[str(size)] = megabytes(batch, model.bundle)
        for name, prepare in contenders(model, batch).items():
            if (only is not None and name not in only) or name in missing:
                continue
            try:
                rate = items_per_s(prepare(), size, seconds=seconds, rounds=1)
            except (MissingError, ImportError, RuntimeError) as error:  # likely out of memory
                missing[name] = f"batch {size}: {str(error).strip().splitlines()[0][:300]}"
                continue
            rates.setdefault(name, {})[str(size)] = rate
    return {"device": model.session.device, "items_per_s": rates, "megabytes": inputs_mb, "missing": missing}


def serve(
    *,
    path: str,
    device: Device,
    gpu_mode: GpuMode,
    workers: int,
    concurrency: int,
    seconds: float,
    sound_s: float,
) -> dict[str, Any]:
    """End to end over HTTP. gpu: share of the time in which a kernel ran."""
    environment = {
        "TRIAD_GPU_MODE": gpu_mode,
        "TRIAD_MAX_BATCH": "64",
        "TRIAD_MAX_QUEUE": str(4 * concurrency),
    }
    server = replace(triad(device, "--workers", "{workers}"), environment=environment)
    media = read_bundle(Path(path)).spec.media
    with started(server, Path(path).resolve(), workers=workers) as running:
        examples = [
            RawInputs(**{m: getattr(raw, m) for m in media}) for raw in make_examples(sound_s=sound_s)
        ]
        files = running.write("all", examples)
        running.drive(files, concurrency=concurrency, seconds=1)
        load = partial(running.measure, files, concurrency=concurrency, seconds=seconds)
        measured, gpu = watch(load)
        return {**asdict(measured), "gpu": gpu, "start_s": running.start_s, "cores": usable_cores()}


def train(*, device: Device, table: str | None, rows: int, precision: str, workers: int) -> dict[str, Any]:
    """An epoch of TriDigits' network, or of a table like it, after one that warms up."""
    from benchmarks.training.__main__ import part_of, run_apart
    from benchmarks.training.table import write_table

    hidden = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory(prefix="triad-training-") as folder:
        if table is None:
            made = write_table(Path(folder) / "made", train=rows, validation=32)
        else:
            made = part_of(Path(table), train=rows, validation=32)
        overrides = [
            f"data.cache={folder}/cache",
            f"optim.mixed_precision={precision}",
            f"augment.audio.noise_folder={made.parent.resolve()}/noise",
        ]
        environment = {**os.environ, **hidden}
        found = run_apart("epochs", made, overrides, workers=workers, rounds=1, environment=environment)
        return {**found, "table": "TriDigits" if table else "made by code"}


STEPS: Mapping[str, Callable[..., dict[str, Any]]] = {
    step.__name__: step
    for step in (versions, bundle, half, placement, agree, engine, memory, speed, serve, train)
}


def main() -> None:
    _, name, arguments, out = sys.argv
    try:
        found = STEPS[name](**json.loads(arguments))
    except (TriadError, MissingError) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stderr[-1500:]}")
    Path(out).write_text(json.dumps(_finite(found)), encoding="utf-8")


def _finite(found: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(found, dict):
        return {name: _finite(value) for name, value in found.items()}
    return str(found) if isinstance(found, float) and not math.isfinite(found) else found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
