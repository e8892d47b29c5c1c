"""Ways to run one model on one batch, whose inputs are the same: the service's session and what bounds it.

B rows of a batch.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from benchmarks.media import make_examples
from benchmarks.pipeline import LIMITS, WANTED
from triad_serving.contract.arrays import Feed
from triad_serving.contract.device import GpuMode
from triad_serving.contract.errors import TriadError
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.packing import output_names, pack_batch
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs
from triad_serving.media.preprocess import preprocess
from triad_serving.settings import usable_cores
from triad_training.network.rebuild import rebuild_network

if TYPE_CHECKING:
    import onnxruntime

Device = Literal["cpu", "cuda"]
Run: TypeAlias = Callable[[], object]

WARM_UPS = 3  # compilation, the arena's growth, the choice of convolution algorithms
MIB = 2**20


class MissingError(Exception):
    """Why a contender cannot run here."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """One bundle on one device, in every way that it can be run."""

    bundle: Bundle
    device: Device
    session: Session
    bare: onnxruntime.InferenceSession
    network: torch.nn.Module | None
    compiled: Callable[[Mapping[str, torch.Tensor]], object] | None


def load_model(bundle: Bundle, device: Device, gpu_mode: GpuMode = "kernels") -> Model:
    """gpu_mode: of the service's session. Raises DeviceError where what was asked for cannot be had."""
    import onnxruntime  # behind triad_serving.inference.runtime, which turns its telemetry off

    threads = usable_cores()
    session = Session(
        bundle.model_path,
        spec=bundle.spec,
        tasks=bundle.tasks,
        device=device,
        threads=threads,
        gpu_mode=gpu_mode,
    )
    if device == "cpu" and gpu_mode == "graphs":
        session.replay()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    providers = ["CUDAExecutionProvider"] if device == "cuda" else []
    bare = onnxruntime.InferenceSession(
        str(bundle.model_path), options, providers=[*providers, "CPUExecutionProvider"]
    )
    network = compiled = None
    if device == "cpu" or torch.cuda.is_available():
        try:
            network = rebuild_network(bundle).to(device)
        except TriadError:
            network = None  # a bundle without weights; `contenders` tells
        compiled = torch.compile(network) if network else None
    return Model(bundle=bundle, device=device, session=session, bare=bare, network=network, compiled=compiled)


def contenders(model: Model, batch: Sequence[ModelInputs]) -> dict[str, Callable[[], Run]]:
    """By name, what prepares the batch and returns its run; preparing raises MissingError."""
    feed = pack_batch(batch, model.bundle.spec)
    return {
        "copy to the device": lambda: _copy(feed, model.device),
        "bare ONNX Runtime": lambda: _bare(model, feed),
        "triad_serving.inference.session": lambda: lambda: model.session.run(batch, WANTED),
        "PyTorch": lambda: _network(model, feed, model.network),
        "PyTorch compiled": lambda: _network(model, feed, model.compiled),
    }


def make_batch(bundle: Bundle, size: int, *, sound_s: float) -> list[ModelInputs]:
    """Examples in turn, each an item of its own: a repeated one would be encoded only once."""
    prepared = [preprocess(raw, bundle.spec, bundle.assets, LIMITS) for raw in make_examples(sound_s=sound_s)]
    return [_copied(inputs) for inputs in itertools.islice(itertools.cycle(prepared), size)]


def items_per_s(run: Run, items: int, *, seconds: float, rounds: int) -> float:
    """Median over the rounds."""
    for _ in range(WARM_UPS):
        run()
    rates = []
    for _ in range(rounds):
        started_s, count = time.perf_counter(), 0
        while time.perf_counter() - started_s < seconds:
            run()
            count += 1
        rates.append(items * count / (time.perf_counter() - started_s))
    return statistics.median(rates)


def megabytes(batch: Sequence[ModelInputs], bundle: Bundle) -> float:
    """Of the batch's inputs."""
    return sum(array.nbytes for array in pack_batch(batch, bundle.spec).values()) / MIB


def _copied(inputs: ModelInputs) -> ModelInputs:
    return ModelInputs(
        text=inputs.text and dataclasses.replace(inputs.text),
        image=inputs.image and dataclasses.replace(inputs.image),
        audio=inputs.audio and dataclasses.replace(inputs.audio),
    )


def _copy(feed: Feed, device: Device) -> Run:
    """Nothing but the transfer, from pinned memory: no model can take batches faster."""
    if device == "cpu":
        host = {name: torch.from_numpy(array) for name, array in feed.items()}
        return lambda: [tensor.clone() for tensor in host.values()]
    _require_cuda()
    pinned = {name: torch.from_numpy(array).pin_memory() for name, array in feed.items()}

    def run() -> None:
        for tensor in pinned.values():
            tensor.to("cuda", non_blocking=True)
        torch.cuda.synchronize()

    return run


def _bare(model: Model, feed: Feed) -> Run:
    """Inputs lie on the device already, outputs stay there."""
    import onnxruntime

    binding = model.bare.io_binding()
    for name, array in feed.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, model.device, 0)
        binding.bind_ortvalue_input(name, value)
    for name in output_names(model.bundle.spec, model.bundle.tasks, WANTED, layers=0):  # no fusion wanted
        binding.bind_output(name, model.device)

    def run() -> None:
        model.bare.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _network(model: Model, feed: Feed, network: Callable[[Mapping[str, torch.Tensor]], object] | None) -> Run:
    """Inputs lie on the device already, outputs stay there. Raises MissingError."""
    if model.device == "cuda":
        _require_cuda()
    if network is None:
        raise MissingError(f"{model.bundle.path} holds no weights to rebuild its network from.")
    tensors = {name: torch.from_numpy(array).to(model.device) for name, array in feed.items()}

    @torch.inference_mode()
    def run() -> None:
        network(tensors)
        if model.device == "cuda":
            torch.cuda.synchronize()

    return run


def _require_cuda() -> None:
    if not torch.cuda.is_available():
        raise MissingError("This PyTorch has no CUDA, or finds no GPU.")
