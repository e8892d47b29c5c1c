# /// script
# requires-python = ">=3.11,<3.11.6"
# dependencies = ["nvidia-pytriton==0.7.0", "numpy<2"]
# ///
"""NVIDIA Triton through pytriton: an instance per core; bytes as tensors of the V2 protocol.

    python -m benchmarks.peers.pytriton [processes]

Its instances are threads of one Python process; with `processes`, each hands its requests to a process of its
own. The interpreter inside its Triton cannot run the `multiprocessing` of Python 3.11.6 and newer.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pytriton.model_config import ModelConfig, Tensor
from pytriton.proxy.types import Request
from pytriton.triton import Triton, TritonConfig

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import RawInputs

Answer = dict[str, npt.NDArray[np.object_]]
Predict: TypeAlias = Callable[[RawInputs], str]


class Worker:
    """What lives in the process of one instance."""

    predict: Predict

    @classmethod
    def load(cls) -> None:
        cls.predict = load_pipeline().predict

    @classmethod
    def answer(cls, raw: RawInputs) -> str:
        return cls.predict(raw)


class Instance:
    """Triton calls it from a thread of its own."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict

    def __call__(self, requests: Sequence[Request]) -> list[Answer]:
        answers = [self._predict(_raw_of(request)).encode() for request in requests]
        return [{"answer": np.array([[answer]], dtype=np.object_)} for answer in answers]


def predict_in_process() -> Predict:
    spawn = multiprocessing.get_context("spawn")
    process = ProcessPoolExecutor(1, mp_context=spawn, initializer=Worker.load)
    return lambda raw: process.submit(Worker.answer, raw).result()


def _raw_of(request: Request) -> RawInputs:
    text, image, audio = (request[name].item() or None for name in ("text", "image", "audio"))
    return RawInputs(text=text.decode() if text else None, image=image, audio=audio)


def main() -> None:
    config = TritonConfig(
        http_address="127.0.0.1", http_port=int(os.environ[PORT]), allow_grpc=False, allow_metrics=False
    )
    make = predict_in_process if "processes" in sys.argv else lambda: load_pipeline().predict
    media = [Tensor(name=name, dtype=bytes, shape=(1, 1)) for name in ("text", "image", "audio")]
    with Triton(config=config) as triton:
        triton.bind(
            model_name="triad",
            infer_func=[Instance(make()) for _ in range(int(os.environ[WORKERS]))],
            inputs=media,
            outputs=[Tensor(name="answer", dtype=bytes, shape=(1, 1))],
            config=ModelConfig(batching=False),
            strict=False,
        )
        triton.serve()


if __name__ == "__main__":
    main()
