"""Rows of tensors to examples, and their answers: each row is a request of its own to the batcher."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from triad_serving.contract.errors import MalformedRequestError, ParameterError, RequestError, TooLargeError
from triad_serving.contract.outputs import MediumName
from triad_serving.engine.batcher import BatchResult
from triad_serving.engine.catalog import Model
from triad_serving.engine.engine import Engine, Pending, Timings
from triad_serving.http.record import Record
from triad_serving.http.v2.outputs import Output
from triad_serving.http.v2.tensors import Tensor
from triad_serving.inference.answer import Prediction
from triad_serving.inference.options import Options
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.registry import NAMES, by_name

MANY_ROWS = 7  # put together by a worker; fewer do not hold up the event loop


@dataclass(frozen=True, kw_only=True)
class InputTensor:
    """elements: of a BYTES tensor; an empty one is an absent medium."""

    name: str
    datatype: str
    shape: Sequence[int]
    elements: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, however it came."""

    model: Model
    inputs: Sequence[InputTensor]
    outputs: Sequence[Output]


async def infer(engine: Engine, asked: Asked, record: Record) -> list[Tensor]:
    """All rows at once; where one fails, the others are dropped.

    Raises what `Engine.predict` raises; an error of one row among several says which.
    """
    raws = read_rows(asked.inputs, engine.settings.media_limits)
    rows = len(raws)
    record.media = tuple(name for name in NAMES if any(name in raw.media for raw in raws))
    options = _options(asked)
    started: list[Pending] = []
    try:
        for row, raw in enumerate(raws):
            with _in_row(row, rows):
                started.append(engine.start(raw, options, request_id=record.id))
        del raw, raws
        results = await asyncio.gather(*(_answer(each, row, rows) for row, each in enumerate(started)))
        finish = functools.partial(_finish, engine, started, results)
        many = sum(len(result.rows) for result in results) > MANY_ROWS or asked.model.bundle.searches
        answered = await asyncio.wrap_future(engine.offload(finish)) if many else finish()
    finally:
        for pending in started:
            pending.answer.cancel()
        del started  # of which an error's traceback would keep hold
    predictions = [prediction for prediction, _ in answered]
    record.prediction = predictions[0]
    record.rows = [Record(id=record.id, prediction=prediction) for prediction in predictions[1:]]
    record.timings = max((timings for _, timings in answered), key=_seconds)
    record.answered_ns = time.time_ns()
    column = len(asked.inputs[0].shape) == 2
    return [output.tensor(predictions, column=column) for output in asked.outputs]


def _options(asked: Asked) -> Options:
    """Every label of a task with tags, however many there are."""
    tags = [len(task.labels) for task in asked.model.bundle.tasks if task.type == "multilabel"]
    return Options(
        model=asked.model.name,
        version=asked.model.version,
        attention="modality" if any(output.of_attention for output in asked.outputs) else "none",
    ).model_copy(update={"top_k": max(tags, default=1)})


async def _answer(pending: Pending, row: int, rows: int) -> BatchResult:
    with _in_row(row, rows):
        return await asyncio.wrap_future(pending.answer)


def _finish(
    engine: Engine, started: Sequence[Pending], results: Sequence[BatchResult]
) -> list[tuple[Prediction, Timings]]:
    answered = []
    for row, (pending, result) in enumerate(zip(started, results, strict=True)):
        with _in_row(row, len(started)):
            answered.append(engine.finish(pending, result))
    return answered


def _seconds(timings: Timings) -> float:
    return timings.preprocess_s + timings.queue_s + timings.inference_s


@contextmanager
def _in_row(row: int, rows: int) -> Iterator[None]:
    """A client's error says in which row it is, where there are several."""
    try:
        yield
    except RequestError as error:
        if rows > 1:
            error.detail = f"Row {row}: {error.detail}"
        raise


def read_rows(inputs: Sequence[InputTensor], limits: MediaLimits) -> list[RawInputs]:
    """Raises MalformedRequestError, ParameterError, TooLargeError, DecodeError."""
    rows = _check_shapes(inputs)
    raws = []
    for row in range(rows):
        with _in_row(row, rows):
            elements = {tensor.name: tensor.elements[row] for tensor in inputs}
            raws.append(
                RawInputs(**{name: _parse(name, sent, limits) for name, sent in elements.items() if sent})
            )
    return raws


def _parse(medium: MediumName, sent: bytes, limits: MediaLimits) -> Any:
    cap = by_name(medium).max_bytes(limits)
    if len(sent) > cap:
        raise TooLargeError(
            f"The {medium} has more than {cap} bytes.", field=medium, limit=cap, value=len(sent)
        )
    return by_name(medium).parse(sent)


def _check_shapes(inputs: Sequence[InputTensor]) -> int:
    """How many rows there are."""
    for tensor in inputs:
        name, shape = tensor.name, tuple(tensor.shape)
        if name not in NAMES:
            known = ", ".join(NAMES)
            raise ParameterError(f"There is no input {name[:80]!r}; there are {known}.", field="inputs")
        if tensor.datatype != "BYTES":
            raise ParameterError(f"{name}: send BYTES, not {tensor.datatype[:80]}.", field=name)
        if len(shape) not in (1, 2) or shape[0] < 1 or shape[1:] not in ((), (1,)):
            raise ParameterError(f"{name}: its shape must be [n] or [n, 1], n above 0.", field=name)
        if len(tensor.elements) != shape[0]:
            raise MalformedRequestError(
                f"{name}: {shape[0]} elements by its shape, {len(tensor.elements)} in its data.", field=name
            )
    if len({tensor.name for tensor in inputs}) != len(inputs) or len({tuple(t.shape) for t in inputs}) != 1:
        raise MalformedRequestError(
            "Send at least one input, none twice, all of the same shape.", field="inputs"
        )
    return inputs[0].shape[0]
