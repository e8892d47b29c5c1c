"""The only importer of onnxruntime: loads a graph on a device and runs it there."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.device import Device, GpuMode
from triad_serving.contract.errors import BundleError, DeviceError

# Official builds send usage events to Microsoft and keep an identifier and a database under ~/.cache, from
# their import on, unless this is set before (Privacy.md in the package; since 1.31 on Linux, too).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

MOST_REPLAYS = 64  # shapes of batches; each keeps buffers of its own on the device
NOT_RECORDED = -1  # onnxruntime's number for a run outside of all CUDA graphs


class Graph:
    """One loaded graph. `run` may be called from several threads at once.

    inputs, outputs: onnxruntime's description of each, with name, type and shape.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        device: Device = "auto",
        threads: int = 1,
        gpu_mode: GpuMode = "kernels",
        gpu_memory_mib: int | None = None,
    ) -> None:
        """threads: inside one run on the CPU. gpu_memory_mib: the most that the arena takes of a GPU.

        Raises DeviceError where what was asked for cannot be had, BundleError where the graph does not load.
        """
        self._session = _open_session(
            model, device, threads=threads, gpu_mode=gpu_mode, gpu_memory_mib=gpu_memory_mib
        )
        self.device: Literal["cpu", "cuda"] = (
            "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"
        )
        self.inputs, self.outputs = self._session.get_inputs(), self._session.get_outputs()
        self._replays: _Replays | None = None
        if self.device == "cuda" and gpu_mode == "graphs":
            self.replay()

    def replay(self) -> None:
        """From now on a run whose shapes were seen before repeats the earlier one, on the same buffers.

        So it does on a CPU, too, where nothing is won by it.
        """
        self._replays = _Replays(self._session, self.device)

    @property
    def replaying(self) -> bool:
        """Whether shapes that come again are worth rounding up to."""
        return self._replays is not None

    def run(self, names: Sequence[str], feed: Feed) -> list[F32]:
        """The outputs of these names, in order."""
        if self._replays is not None:
            return self._replays.run(names, feed)
        outputs: list[F32] = self._session.run(names, feed)
        return outputs


class _Replays:
    """Runs by shape. A CUDA graph belongs to the thread that recorded it, hence one thread for all."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        self._session = session
        self._device = device
        self._known: dict[tuple[object, ...], _Replay] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="triad-replay")

    def run(self, names: Sequence[str], feed: Feed) -> list[F32]:
        return self._thread.submit(self._run, tuple(names), feed).result()

    def _run(self, names: Sequence[str], feed: Feed) -> list[F32]:
        shapes = (names, *((name, array.shape) for name, array in feed.items()))
        if shapes not in self._known:
            if len(self._known) == MOST_REPLAYS:
                outputs: list[F32] = self._session.run(names, feed, _numbered(NOT_RECORDED))
                return outputs
            number = 1 + len(self._known)
            self._known[shapes] = _Replay(self._session, self._device, names, feed, number)
        return self._known[shapes].run(feed)


class _Replay:
    """One shape. Its inputs and outputs lie at the same addresses on the device in every run.

    With CUDA graphs on, onnxruntime records all kernels' launches, addresses included, in the first run of a
    number and repeats them in the next ones (in its documentation: CUDA Execution Provider, CUDA Graphs).
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        device: str,
        names: Sequence[str],
        feed: Feed,
        number: int,
    ) -> None:
        self._session = session
        self._options = _numbered(number)
        self._binding = session.io_binding()
        self._inputs = {
            name: onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, device)
            for name, array in feed.items()
        }
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name in names:
            self._binding.bind_output(name, device)
        self._fill(feed)
        session.run_with_iobinding(self._binding, _numbered(NOT_RECORDED))  # tells the outputs' shapes
        for name, value in zip(names, self._binding.get_outputs(), strict=True):
            self._binding.bind_ortvalue_output(name, value)

    def run(self, feed: Feed) -> list[F32]:
        self._fill(feed)
        self._session.run_with_iobinding(self._binding, self._options)
        outputs: list[F32] = self._binding.copy_outputs_to_cpu()
        return outputs

    def _fill(self, feed: Feed) -> None:
        for name, array in feed.items():
            self._inputs[name].update_inplace(array)


def _numbered(number: int) -> onnxruntime.RunOptions:
    """Of the CUDA graph that a run records or repeats."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(number))
    return options


def cuda_options(gpu_memory_mib: int | None, gpu_mode: GpuMode = "kernels") -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider for a service, whose batches change shape from run to run."""
    options = {
        "cudnn_conv_algo_search": "HEURISTIC",  # by default it times every algorithm for each new shape
        "arena_extend_strategy": "kSameAsRequested",  # by default it doubles what it holds
        # By default products are of 10 bits, so that an answer differs by 1e-3 from a CPU's, and from its own
        # in another batch. Who wants speed before that serves 16 bits.
        "use_tf32": "0",
    }
    if gpu_memory_mib is not None:
        options["gpu_mem_limit"] = str(gpu_memory_mib * 2**20)
    if gpu_mode == "graphs":
        options["enable_cuda_graph"] = "1"
    return options


def _open_session(
    model: Path | bytes, device: Device, *, threads: int, gpu_mode: GpuMode, gpu_memory_mib: int | None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device != "cpu" and cuda_within_reach():
        onnxruntime.preload_dlls()
        providers.insert(0, ("CUDAExecutionProvider", cuda_options(gpu_memory_mib, gpu_mode)))
        if gpu_mode == "tensorrt":
            _require_tensorrt()
            providers.insert(0, "TensorrtExecutionProvider")  # its options: ORT_TENSORRT_* of the environment
    source = model if isinstance(model, bytes) else str(model)
    try:
        session = onnxruntime.InferenceSession(
            source,
            options,
            providers=providers,
            enable_fallback=gpu_mode == "kernels",  # to the CPU, which nobody would notice
        )
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise BundleError(f"The graph cannot be loaded: {error}") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise DeviceError(
            "CUDA was asked for but cannot be had: it needs an NVIDIA driver and "
            "`pip install triad-serving[gpu]`. --device auto or cpu goes on without."
        )
    return session


def cuda_within_reach() -> bool:
    """Whether this ONNX Runtime has CUDA and the driver's library loads (a GPU-less machine has none)."""
    windows = sys.platform == "win32"
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers() and loads(
        "nvcuda.dll" if windows else "libcuda.so.1"
    )


def fork_safe(device: Device) -> bool:
    """Whether a copy of a process that has loaded models can go on with them."""
    return sys.platform == "linux" and (device == "cpu" or not cuda_within_reach())


def _require_tensorrt() -> None:
    """Raises DeviceError."""
    library = "nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10"
    if not loads(library):
        raise DeviceError(
            f"TensorRT was asked for but cannot be had: {library} does not load. "
            "TRIAD_GPU_MODE=kernels goes on without."
        )


def loads(library: str) -> bool:
    """Whether this process can have it, by the name of its file."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
