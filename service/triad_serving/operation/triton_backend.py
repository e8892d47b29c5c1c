"""What an exported model runs within NVIDIA Triton's Python backend: the engine, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_serving.contract.errors import TriadError
from triad_serving.engine.engine import Engine, new_request_id
from triad_serving.http.record import Record
from triad_serving.http.v2.inference import Asked, InputTensor, infer
from triad_serving.http.v2.outputs import wanted_outputs
from triad_serving.http.v2.tensors import Tensor
from triad_serving.settings import Settings

TYPES: Mapping[str, type[Any]] = {"BYTES": np.object_, "FP32": np.float32, "BOOL": np.bool_}


class Backend:
    """Answers from one thread."""

    def __init__(self, bundle: Path) -> None:
        """Raises BundleError, DeviceError."""
        self._engine = Engine.open(bundle, Settings(models=bundle)).__enter__()
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._runner.close()
        self._engine.__exit__()

    def answer(
        self, requests: Sequence[tuple[Mapping[str, npt.NDArray[Any]], Sequence[str]]]
    ) -> list[list[Tensor] | TriadError]:
        """All at once. Of each its inputs [n, 1] of bytes, and the names of its outputs; or why it failed."""
        return self._runner.run(self._answer_all(requests))

    async def _answer_all(
        self, requests: Sequence[tuple[Mapping[str, npt.NDArray[Any]], Sequence[str]]]
    ) -> list[list[Tensor] | TriadError]:
        return await asyncio.gather(*(self._answer(inputs, names) for inputs, names in requests))

    async def _answer(
        self, inputs: Mapping[str, npt.NDArray[Any]], names: Sequence[str]
    ) -> list[Tensor] | TriadError:
        model = self._engine.catalog.find()
        tensors = [
            InputTensor(name=name, datatype="BYTES", shape=array.shape, elements=array.reshape(-1).tolist())
            for name, array in inputs.items()
        ]
        try:
            asked = Asked(model=model, inputs=tensors, outputs=wanted_outputs(model.bundle, names))
            return await infer(self._engine, asked, Record(id=new_request_id()))
        except TriadError as error:
            return error.without_tracebacks()


def to_array(tensor: Tensor) -> npt.NDArray[Any]:
    return np.array(tensor.elements, dtype=TYPES[tensor.datatype]).reshape(tensor.shape)
