"""A gRPC server for one process, beside its HTTP server: the same engine, keys, limits, metrics and log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import grpc
from fastapi import Request

from triad_serving.contract.errors import (
    ClientGoneError,
    InferenceError,
    MalformedRequestError,
    SetupError,
    TriadError,
    reason_of,
)
from triad_serving.engine.engine import Engine
from triad_serving.http.access.guard import RequireKey
from triad_serving.http.metrics import Metrics
from triad_serving.http.multipart import Upload, UploadBudget, most_bytes
from triad_serving.http.openapi import TIMEOUT_HEADER
from triad_serving.http.record import record_of
from triad_serving.http.request_log import log_request
from triad_serving.http.routes import deadline
from triad_serving.http.v2.inference import Asked, InputTensor, infer
from triad_serving.http.v2.metadata import SERVER, describe_model
from triad_serving.http.v2.outputs import wanted_outputs
from triad_serving.http.v2.rpc.messages import SERVICE, load_messages
from triad_serving.http.v2.tensors import Tensor, split_bytes, to_binary

logger = logging.getLogger(__name__)

Message: TypeAlias = Any  # of classes that are made when the server starts
Work: TypeAlias = Callable[[Message, Request], Awaitable[Message]]

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
CONTENTS = {"BYTES": "bytes_contents", "FP32": "fp32_contents", "BOOL": "bool_contents"}


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the gRPC server shares with the HTTP server. guard: where the service has keys."""

    engine: Engine
    metrics: Metrics
    budget: UploadBudget
    guard: RequireKey | None
    version: str

    @asynccontextmanager
    async def serve(self, address: str) -> AsyncIterator[int]:
        """At `host:port`, which other processes may share; gives the port. Raises SetupError."""
        settings = self.engine.settings
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", most_bytes(settings.media_limits)),
            ],
            maximum_concurrent_rpcs=settings.max_queue,
        )
        server.add_generic_rpc_handlers([self._handlers()])
        try:
            port: int = server.add_insecure_port(address)
        except RuntimeError as error:
            raise SetupError(f"Cannot listen on {address}: {error}.") from error
        await server.start()
        logger.info("gRPC is served at %s.", f"{address.rpartition(':')[0]}:{port}")
        try:
            yield port
        finally:
            await server.stop(settings.request_timeout_s)

    def _handlers(self) -> grpc.GenericRpcHandler:
        messages = load_messages()
        rpc = _Rpc(self, messages)
        open_to_all: dict[str, Work] = {"ServerLive": rpc.server_live, "ServerReady": rpc.server_ready}
        guarded: dict[str, Work] = {
            "ModelReady": rpc.model_ready,
            "ServerMetadata": rpc.server_metadata,
            "ModelMetadata": rpc.model_metadata,
            "ModelInfer": rpc.model_infer,
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    self._observed(name, work, guard=self.guard if name in guarded else None),
                    request_deserializer=messages[f"{name}Request"].FromString,
                    response_serializer=messages[f"{name}Response"].SerializeToString,
                )
                for name, work in (open_to_all | guarded).items()
            },
        )

    def _observed(self, name: str, work: Work, *, guard: RequireKey | None) -> Callable[[Message, Any], Any]:
        """Counted and logged as an HTTP request is, its errors told as gRPC tells them."""
        route = SimpleNamespace(path=f"/{SERVICE}/{name}")

        async def answer(message: Message, context: Any) -> Message:
            started_s = time.perf_counter()
            scope = {"type": "http", "method": "gRPC", "path": route.path, "route": route}
            scope["headers"] = self._headers(context)
            request = Request(scope)
            record = record_of(request)
            status = 500
            self.metrics.begin()
            try:
                if guard is not None:
                    await guard(request)
                answered = await work(message, request)
                status = 200
            except asyncio.CancelledError:
                record.problem, status = reason_of(ClientGoneError.title), ClientGoneError.status
                raise
            except Exception as error:  # a defect of ours: logged here, told without its inner life
                if not isinstance(error, TriadError):
                    logger.exception("Request %s failed unexpectedly.", record.id)
                known = error if isinstance(error, TriadError) else InferenceError("The service failed.")
                record.problem, status = reason_of(known.title), known.status
                code = CODES.get(known.status, grpc.StatusCode.INTERNAL)
                await context.abort(code, known.without_tracebacks().detail)
            finally:
                seconds = time.perf_counter() - started_s
                self.metrics.count(scope, record, status, seconds)
                if self.engine.settings.log_requests:
                    log_request(scope, record, status, seconds)
            return answered

        return answer

    def _headers(self, context: Any) -> list[tuple[bytes, bytes]]:
        """What HTTP clients send as headers, clients of gRPC send as metadata and as a deadline."""
        pairs = [
            (key.encode(), value.encode() if isinstance(value, str) else value)
            for key, value in context.invocation_metadata()
        ]
        if (left_s := context.time_remaining()) is not None:
            left_ms = max(1, int(1000 * min(left_s, self.engine.settings.request_timeout_s)))
            pairs.insert(0, (TIMEOUT_HEADER.lower().encode(), str(left_ms).encode()))
        return pairs


class _Rpc:
    """The methods of the protocol. Each raises a TriadError."""

    def __init__(self, service: Service, messages: dict[str, Any]) -> None:
        self._service = service
        self._engine = service.engine
        self._messages = messages

    async def server_live(self, _message: Message, _request: Request) -> Message:
        return self._messages["ServerLiveResponse"](live=True)

    async def server_ready(self, _message: Message, _request: Request) -> Message:
        return self._messages["ServerReadyResponse"](ready=self._engine.ready)

    async def model_ready(self, message: Message, _request: Request) -> Message:
        self._engine.catalog.find(message.name, message.version or None)
        return self._messages["ModelReadyResponse"](ready=self._engine.ready)

    async def server_metadata(self, _message: Message, _request: Request) -> Message:
        return self._messages["ServerMetadataResponse"](name=SERVER, version=self._service.version)

    async def model_metadata(self, message: Message, _request: Request) -> Message:
        catalog = self._engine.catalog
        described = describe_model(catalog, catalog.find(message.name, message.version or None))
        return self._messages["ModelMetadataResponse"](**described.model_dump())

    async def model_infer(self, message: Message, request: Request) -> Message:
        engine, record = self._engine, record_of(request)
        model = engine.catalog.find(message.model_name, message.model_version or None)
        record.model = model.name
        with Upload(engine.settings.media_limits, self._service.budget) as upload:
            upload.hold(message.ByteSize())
            async with deadline(request, engine):
                outputs = wanted_outputs(model.bundle, [output.name for output in message.outputs])
                asked = Asked(model=model, inputs=_read_inputs(message), outputs=outputs)
                tensors = await infer(engine, asked, record)
        answer = self._messages["ModelInferResponse"](
            model_name=model.name, model_version=model.version, id=message.id
        )
        _write_outputs(answer, tensors, raw=bool(message.raw_input_contents))
        return answer


def _read_inputs(message: Message) -> list[InputTensor]:
    """Raises MalformedRequestError."""
    raw: Sequence[bytes] = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise MalformedRequestError(f"raw_input_contents has {len(raw)} of {len(message.inputs)} inputs.")
    return [
        InputTensor(
            name=tensor.name,
            datatype=tensor.datatype,
            shape=tuple(tensor.shape),
            elements=split_bytes(raw[i], tensor.name) if raw else list(tensor.contents.bytes_contents),
        )
        for i, tensor in enumerate(message.inputs)
    ]


def _write_outputs(answer: Message, tensors: Sequence[Tensor], *, raw: bool) -> None:
    """raw: as the inputs came."""
    for tensor in tensors:
        output = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            answer.raw_output_contents.append(to_binary(tensor))
        else:
            getattr(output.contents, CONTENTS[tensor.datatype]).extend(tensor.elements)
