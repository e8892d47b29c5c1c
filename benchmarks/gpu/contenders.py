"""Ways to run one model on one batch, whose inputs are the same: the service's session and what bounds it.

PyTorch is imported only by what runs it: the others take their time from a process without.

B rows of a batch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from benchmarks.media import make_examples
from benchmarks.pipeline import LIMITS, WANTED
from triad_serving.contract.arrays import Feed
from triad_serving.contract.device import GpuMode
from triad_serving.contract.errors import TriadError
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.packing import output_names, pack_batch
from triad_serving.inference.runtime import cuda_options
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs
from triad_serving.media.preprocess import preprocess
from triad_serving.settings import usable_cores

if TYPE_CHECKING:
    import onnxruntime
    import torch

Device = Literal["cpu", "cuda"]
Run: TypeAlias = Callable[[], object]

WARM_UPS = 3  # compilation, the arena's growth, the choice of convolution algorithms
MIB = 2**20
SESSION = "triad_serving.inference.session"
BARE = "bare ONNX Runtime"


class MissingError(Exception):
    """Why a contender cannot run here."""


class Model:
    """One bundle on one device, in every way that it can be run; each is loaded when it is asked for."""

    def __init__(self, bundle: Bundle, device: Device, gpu_mode: GpuMode = "kernels") -> None:
        """gpu_mode: of the service's session. Raises DeviceError where what was asked for cannot be had."""
        self.bundle = bundle
        self.device: Device = device
        self.session = open_session(bundle, device, gpu_mode)  # first: it loads CUDA's libraries

    @functools.cached_property
    def bare(self) -> onnxruntime.InferenceSession:
        return self._bare_session(cuda_options(None))

    @functools.cached_property
    def rounded(self) -> onnxruntime.InferenceSession:
        """With products of numbers of 10 bits, which CUDA takes by default."""
        if self.device == "cpu":
            raise MissingError("A CPU has no TF32.")
        return self._bare_session({**cuda_options(None), "use_tf32": "1"})

    def _bare_session(self, options: Mapping[str, str]) -> onnxruntime.InferenceSession:
        import onnxruntime  # behind triad_serving.inference.runtime, which turns its telemetry off

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = usable_cores()
        settings.log_severity_level = 3
        cuda = [("CUDAExecutionProvider", dict(options))] if self.device == "cuda" else []
        return onnxruntime.InferenceSession(
            str(self.bundle.model_path), settings, providers=[*cuda, "CPUExecutionProvider"]
        )

    @functools.cached_property
    def network(self) -> torch.nn.Module:
        """Raises MissingError."""
        from triad_training.network.rebuild import rebuild_network

        _require(self.device)
        try:
            return rebuild_network(self.bundle).to(self.device)
        except TriadError as error:
            raise MissingError(f"{self.bundle.path} holds no weights to rebuild its network from.") from error


def open_session(bundle: Bundle, device: Device, gpu_mode: GpuMode = "kernels") -> Session:
    """On a CPU with all cores; `graphs` replays there, too: the same code runs. Raises DeviceError."""
    session = Session(
        bundle.model_path,
        spec=bundle.spec,
        tasks=bundle.tasks,
        device=device,
        threads=usable_cores(),
        gpu_mode=gpu_mode,
    )
    if device == "cpu" and gpu_mode == "graphs":
        session.replay()
    return session


def contenders(model: Model, batch: Sequence[ModelInputs]) -> dict[str, Callable[[], Run]]:
    """By name, what prepares the batch and returns its run; preparing raises MissingError."""
    feed = pack_batch(batch, model.bundle.spec)
    return {
        "copy to the device": lambda: _copy(feed, model.device),
        BARE: lambda: _bare(model, model.bare, feed),
        "bare ONNX Runtime, TF32": lambda: _bare(model, model.rounded, feed),
        SESSION: lambda: lambda: model.session.run(batch, WANTED),
        "PyTorch": lambda: _network(model, feed),
    }


def make_batch(bundle: Bundle, size: int, *, sound_s: float) -> list[ModelInputs]:
    """Examples in turn, each an item of its own: a repeated one would be encoded only once."""
    media = bundle.spec.media
    prepared = [
        preprocess(raw, bundle.spec, bundle.assets, LIMITS)
        for each in make_examples(sound_s=sound_s)
        for raw in (dataclasses.replace(each, **{m: None for m in each.media if m not in media}),)
    ]
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
    import torch

    _require(device)
    host = {name: torch.from_numpy(array) for name, array in feed.items()}
    if device == "cpu":
        return lambda: [tensor.clone() for tensor in host.values()]
    pinned = {name: tensor.pin_memory() for name, tensor in host.items()}

    def run() -> None:
        for tensor in pinned.values():
            tensor.to("cuda", non_blocking=True)
        torch.cuda.synchronize()

    return run


def _bare(model: Model, session: onnxruntime.InferenceSession, feed: Feed) -> Run:
    """Inputs lie on the device already, outputs stay there."""
    import onnxruntime

    binding = session.io_binding()
    for name, array in feed.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, model.device, 0)
        binding.bind_ortvalue_input(name, value)
    for name in output_names(model.bundle.spec, model.bundle.tasks, WANTED, layers=0):  # no fusion wanted
        binding.bind_output(name, model.device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _network(model: Model, feed: Feed) -> Run:
    """Inputs lie on the device already, outputs stay there. Raises MissingError."""
    import torch

    network = model.network
    tensors = {name: torch.from_numpy(array).to(model.device) for name, array in feed.items()}

    @torch.inference_mode()
    def run() -> None:
        network(tensors)
        if model.device == "cuda":
            torch.cuda.synchronize()

    return run


def _require(device: Device) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError("This PyTorch has no CUDA, or finds no GPU.")
