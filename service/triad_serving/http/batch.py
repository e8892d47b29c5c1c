"""Many examples in one request: each is answered, or refused, by itself.

The body has a part `rows`, JSON Lines, and the files that the rows name. Rows go to the engine as requests of
their own do, at most so many of all such requests at once; so a large one leaves room for who asks for one.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from triad_serving.contract.errors import (
    DeadlineError,
    DecodeError,
    MalformedRequestError,
    NotAcceptableError,
    NothingToPredictError,
    OverloadedError,
    ParameterError,
    RequestError,
    TooLargeError,
    TriadError,
    reason_of,
)
from triad_serving.contract.strict_json import strict_json
from triad_serving.engine.engine import Engine, Pending
from triad_serving.http.negotiation import preferred_type
from triad_serving.http.problems import describe_problem
from triad_serving.http.record import Record
from triad_serving.http.schemas import BatchRow, RowAnswer
from triad_serving.inference.answer import Prediction
from triad_serving.inference.options import Options
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.registry import MEDIA

logger = logging.getLogger(__name__)

ROWS = "rows"  # the part
SHOWN_CHARACTERS = 80
MANY_ROWS = 7  # Shapley values of three media; the dozens of an occlusion would hold up the event loop

Format = Literal["application/json", "application/x-ndjson"]
FORMATS: tuple[Format, ...] = get_args(Format)
Row = RawInputs | RequestError  # an example, or why it is none


def wanted_format(request: Request) -> Format:
    """Raises NotAcceptableError."""
    accept = request.headers.get("accept")
    wanted = preferred_type(accept, FORMATS)
    if wanted is None:
        raise NotAcceptableError(f"Accept names none of {', '.join(FORMATS)}.", field="Accept", value=accept)
    return wanted


def read_rows(parts: Mapping[str, bytes], limits: MediaLimits, *, most: int) -> list[Row]:
    """Raises what refuses all of them: MalformedRequestError, NothingToPredictError, TooLargeError."""
    if ROWS not in parts:
        raise MalformedRequestError(f"There is no part {ROWS!r}, JSON Lines with one row each.", field=ROWS)
    data = parts[ROWS].strip()
    if not data:
        raise NothingToPredictError("Nothing to predict from: there are no rows.", field=ROWS)
    if (count := data.count(b"\n") + 1) > most:
        detail = f"There are {count} rows; at most {most} are answered at once."
        raise TooLargeError(detail, field=ROWS, limit=most, value=count)
    lines = [line for line in data.split(b"\n") if line.strip()]
    named: set[str] = {ROWS}
    rows = [_read_row(line, parts, limits, named) for line in lines]
    unused = sorted(parts.keys() - named)
    if unused and all(isinstance(row, RawInputs) for row in rows):
        raise MalformedRequestError(f"No row names the part {unused[0][:SHOWN_CHARACTERS]!r}.")
    return rows


def _read_row(line: bytes, parts: Mapping[str, bytes], limits: MediaLimits, named: set[str]) -> Row:
    """named: gets the names of the parts that are used."""
    try:
        row = BatchRow.model_validate(strict_json(line))
        found = {}
        for medium in MEDIA:
            value = getattr(row, medium.name)
            if value and medium.request.schema.get("format") == "binary":
                named.add(value)
                found[medium.name] = medium.parse(_file(value, parts, medium.name, medium.max_bytes(limits)))
            elif value:
                found[medium.name] = value
        return RawInputs(**found)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])[:SHOWN_CHARACTERS] if first["loc"] else ROWS
        return ParameterError(f"{name}: {first['msg']}.", field=name)
    except ValueError as error:
        return MalformedRequestError(f"The row is not JSON: {error}.", field=ROWS)
    except RequestError as error:
        return error.without_tracebacks()


def _file(name: str, parts: Mapping[str, bytes], medium: str, most_bytes: int) -> bytes:
    data = parts.get(name) if name != ROWS else None
    if data is None:
        raise MalformedRequestError(f"There is no part {name[:SHOWN_CHARACTERS]!r}.", field=medium)
    if not data:
        raise DecodeError(f"The {medium} file is empty (0 bytes).", field=medium)
    if len(data) > most_bytes:
        detail = f"The {medium} has more than {most_bytes} bytes."
        raise TooLargeError(detail, field=medium, limit=most_bytes, value=len(data))
    return data


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One request's rows. places: which the rows of all such requests share.

    until: when its time is over, by the event loop's clock. deadline_s: how long that was.
    """

    engine: Engine
    options: Options
    record: Record
    rows: Sequence[Row]
    places: asyncio.Semaphore
    until: float
    deadline_s: float

    async def lines(self, wanted: Format) -> AsyncIterator[str]:
        """The body of the answer, piece by piece: NDJSON as rows are ready, JSON in their order."""
        tasks = [asyncio.create_task(self._answer(number, row)) for number, row in enumerate(self.rows)]
        try:
            if wanted == "application/x-ndjson":
                for ready in asyncio.as_completed(tasks):
                    yield (await ready).to_json() + "\n"
                return
            before = '{"answers":['
            for task in tasks:
                yield before + (await task).to_json()
                before = ","
            yield "]}"
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, number: int, row: Row) -> RowAnswer:
        record = Record(id=f"{self.record.id}.{number}", model=self.record.model)
        self.record.rows.append(record)
        error: TriadError
        try:
            if not isinstance(row, RawInputs):
                raise row
            async with asyncio.timeout_at(self.until), self.places:
                return RowAnswer(row=number, prediction=await self._predict(row, record))
        except TimeoutError:
            error = DeadlineError(f"No answer within {self.deadline_s:g} s.", limit=self.deadline_s)
        except TriadError as known:
            error = known.without_tracebacks()
        except Exception:  # a defect of ours: logged here, told without its inner life
            logger.exception("Request %s failed unexpectedly.", record.id)
            error = TriadError("The service failed unexpectedly; its log says more.")
        record.problem = reason_of(error.title)
        return RowAnswer(row=number, problem=describe_problem(error, record.id))

    async def _predict(self, raw: RawInputs, record: Record) -> Prediction:
        record.media = raw.media
        pending = await self._start(raw, record.id)
        result = await asyncio.wrap_future(pending.answer)
        finish = functools.partial(self.engine.finish, pending, result)
        many = len(result.rows) > MANY_ROWS or pending.model.bundle.searches
        prediction, timings = await asyncio.wrap_future(self.engine.offload(finish)) if many else finish()
        record.prediction, record.timings = prediction, timings
        return prediction

    async def _start(self, raw: RawInputs, request_id: str) -> Pending:
        """Waits for a place in the queue, which requests for one example may have filled."""
        while True:
            try:
                return self.engine.start(raw, self.options, request_id=request_id)
            except OverloadedError:
                await self.engine.wait_for_place()


class BatchResponse(StreamingResponse):
    """Gives back what its rows hold when it has been sent, or the client has left."""

    def __init__(self, batch: Batch, wanted: Format, release: Callable[[], None]) -> None:
        super().__init__(batch.lines(wanted), media_type=wanted)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
