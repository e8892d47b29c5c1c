# /// script
# requires-python = ">=3.11,<3.11.6"
# dependencies = ["nvidia-pytriton==0.7.0", "numpy<2"]
# ///
"""NVIDIA Triton through pytriton: an instance per core; bytes as tensors of the V2 protocol.

The interpreter inside its Triton cannot run the `multiprocessing` of Python 3.11.6 and newer. Its instances
are threads of one Python process; a process for each behind them was slower.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pytriton.model_config import ModelConfig, Tensor
from pytriton.proxy.types import Request
from pytriton.triton import Triton, TritonConfig

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from service.contract import RawInputs

Answer = dict[str, npt.NDArray[np.object_]]


class Instance:
    """Triton calls it from a thread of its own."""

    def __init__(self) -> None:
        self._pipeline = load_pipeline()

    def __call__(self, requests: Sequence[Request]) -> list[Answer]:
        answers = [self._pipeline.predict(_raw_of(request)).encode() for request in requests]
        return [{"answer": np.array([[answer]], dtype=np.object_)} for answer in answers]


def _raw_of(request: Request) -> RawInputs:
    text, image, audio = (request[name].item() or None for name in ("text", "image", "audio"))
    return RawInputs(text=text.decode() if text else None, image=image, audio=audio)


def main() -> None:
    config = TritonConfig(
        http_address="127.0.0.1", http_port=int(os.environ[PORT]), allow_grpc=False, allow_metrics=False
    )
    media = [Tensor(name=name, dtype=bytes, shape=(1, 1)) for name in ("text", "image", "audio")]
    with Triton(config=config) as triton:
        triton.bind(
            model_name="triad",
            infer_func=[Instance() for _ in range(int(os.environ[WORKERS]))],
            inputs=media,
            outputs=[Tensor(name="answer", dtype=bytes, shape=(1, 1))],
            config=ModelConfig(batching=False),
            strict=False,
        )
        triton.serve()


if __name__ == "__main__":
    main()
