"""Clients that a real server meets: slow, gone, endless, or speaking something else."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from tests.hostile.corpus import form, part
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.schemas import Problem
from triad_serving.operation.connection import MAX_HEAD_BYTES
from triad_serving.operation.server import bind, uvicorn_options
from triad_serving.settings import Settings

LIMIT_S = 0.4  # of a request
PATIENCE_S = 10.0
BYTE_EVERY_S = 0.02
GOOD = form(part("text", b"seven"))
TYPE = b"Content-Type: multipart/form-data; boundary=XX\r\n"


class Service(NamedTuple):
    port: int
    engine: Engine
    server: uvicorn.Server


class Started(uvicorn.Server):
    """Says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


@pytest.fixture(scope="module")
def service(tiny_bundle: Path) -> Iterator[Service]:
    settings = Settings(models=tiny_bundle, device="cpu", threads=1, request_timeout_s=LIMIT_S)
    options = {**uvicorn_options(settings), "log_config": None}
    bound = bind("127.0.0.1", 0)
    with Engine.open(tiny_bundle, settings) as engine:
        server = Started(uvicorn.Config(create_app(engine=engine), **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        assert server.serving.wait(PATIENCE_S)
        yield Service(bound.getsockname()[1], engine, server)
        server.should_exit = True
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S)


def request(body: bytes = GOOD, *, length: int | None = None, more: bytes = b"", query: bytes = b"") -> bytes:
    announced = b"Content-Length: %d\r\n" % (len(body) if length is None else length)
    head = b"POST /v1/predict" + query + b" HTTP/1.1\r\nHost: t\r\n" + TYPE + announced + more + b"\r\n"
    return head + body


def read_all(client: socket.socket) -> bytes:
    """Until the server ends the connection."""
    pieces = []
    while piece := client.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def read_answer(client: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65_536)
    return int(head.split()[1]), body


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def problem_of(answer: bytes) -> Problem:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    return Problem.model_validate_json(body)


def assert_served(service: Service) -> None:
    with connect(service) as client:
        client.sendall(request())
        assert read_answer(client)[0] == 200


def trickle(client: socket.socket, data: bytes) -> bytes:
    """A byte now and then, over and over, until the server has ended the connection; its answer."""
    answer, sent, deadline_s = b"", 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        readable, _, _ = select.select([client], [], [], BYTE_EVERY_S)
        try:
            if readable:
                if not (piece := client.recv(65_536)):
                    return answer
                answer += piece
            client.sendall(data[sent % len(data) : sent % len(data) + 1])
        except ConnectionError:
            return answer
        sent += 1
    raise AssertionError("the connection was not ended")


def test_a_head_of_a_byte_now_and_then_is_ended_by_the_request_timeout(service: Service) -> None:
    with connect(service) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nA: ")
        started_s = time.monotonic()
        answer = trickle(client, b"a")
        assert LIMIT_S * 0.9 < time.monotonic() - started_s < 5 * LIMIT_S
        assert problem_of(answer).status == 408
    assert_served(service)


def test_a_body_of_a_byte_now_and_then_is_ended_and_holds_nothing(service: Service) -> None:
    with connect(service) as client:
        client.sendall(request(b"", length=10**6))
        started_s = time.monotonic()
        answer = trickle(client, form(part("text", b"s" * 5000)))
        assert LIMIT_S * 0.9 < time.monotonic() - started_s < 8 * LIMIT_S
        assert status_of(answer) in (400, 504)
        assert problem_of(answer).status == status_of(answer)
    assert_served(service)


def test_slow_clients_do_not_slow_the_others(service: Service) -> None:
    clients = [connect(service) for _ in range(50)]
    try:
        for client in clients:
            client.sendall(request(b"", length=10**6) + b"--XX\r\n")
        for _ in range(5):
            assert_served(service)
    finally:
        for client in clients:
            client.close()


def test_a_connection_that_says_nothing_is_ended(service: Service) -> None:
    with connect(service) as client:
        assert read_all(client) == b""


def test_a_head_without_end_is_refused_while_it_is_sent(service: Service) -> None:
    line = b"A: " + b"b" * 997 + b"\r\n"
    with connect(service) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\n")
        assert send_until_ended(client, line) < 10 * 2**20  # what the kernel holds included
    assert_served(service)


def send_until_ended(client: socket.socket, piece: bytes) -> int:
    """Bytes that were taken, over and over the same."""
    sent, deadline_s = 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            client.sendall(piece)
        except ConnectionError:
            return sent
        sent += len(piece)
    raise AssertionError("the connection was not ended")


def test_a_head_that_ends_too_late_is_told_so(service: Service) -> None:
    with connect(service) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        client.sendall((b"A: " + b"b" * 997 + b"\r\n") * (MAX_HEAD_BYTES // 1000))
        answer = trickle(client, b"C: d\r\n" * 999)
        assert status_of(answer) in (408, 431)


def test_a_client_that_leaves_in_its_upload_leaves_nothing_behind(service: Service) -> None:
    for _ in range(20):
        with connect(service) as client:
            client.sendall(request(GOOD[:30], length=10**6))
            reset_on_close(client)
    assert_served(service)
    assert not under_way(service)


def test_a_client_that_leaves_before_its_answer_leaves_nothing_behind(service: Service) -> None:
    for _ in range(20):
        with connect(service) as client:
            client.sendall(request(query=b"?attention=full&explain=all"))
            reset_on_close(client)
    assert_served(service)
    assert not under_way(service)


def reset_on_close(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def under_way(service: Service) -> int:
    """Requests that the service still holds, once those that were cancelled have been taken note of."""
    deadline_s = time.monotonic() + PATIENCE_S
    batcher = service.engine._batcher
    assert batcher is not None
    while (batcher._accepted or service.server.server_state.tasks) and time.monotonic() < deadline_s:
        assert_served(service)
    return len(batcher._accepted)


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 99]
)
def test_what_is_no_http_is_a_problem(service: Service, data: bytes) -> None:
    with connect(service) as client:
        client.sendall(data)
        assert problem_of(read_all(client)).status == 400
    assert_served(service)


def test_a_length_beyond_the_body_is_ended_by_the_request_timeout(service: Service) -> None:
    with connect(service) as client:
        client.sendall(request(GOOD[:-4], length=len(GOOD) + 100))
        assert status_of(read_all(client)) == 504


def test_a_length_short_of_the_body_is_refused(service: Service) -> None:
    with connect(service) as client:
        client.sendall(request(length=len(GOOD) - 10))
        assert status_of(read_all(client)) == 400


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"9" * 30, b"5, 6", b""])
def test_a_length_that_is_none_is_refused(service: Service, length: bytes) -> None:
    with connect(service) as client:
        client.sendall(request().replace(b"Content-Length: %d" % len(GOOD), b"Content-Length: " + length))
        assert status_of(read_all(client)) == 400


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_chunked_body_is_read(service: Service, size: int) -> None:
    pieces = [GOOD[start : start + size] for start in range(0, len(GOOD), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    with connect(service) as client:
        head = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        client.sendall(head + chunks + b"0\r\n\r\n")
        assert read_answer(client)[0] == 200


def test_chunks_that_lie_and_two_lengths_at_once_are_refused(service: Service) -> None:
    head = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    both = request(more=b"Transfer-Encoding: chunked\r\n")
    for data in (head + b"ZZ\r\n" + GOOD, head + b"5\r\n" + GOOD, both):
        with connect(service) as client:
            client.sendall(data)
            assert status_of(read_all(client)) == 400
    assert_served(service)


def test_after_an_early_refusal_the_connection_serves_once_the_rest_has_come(service: Service) -> None:
    body = form(part("video", b"x" * 100_000), part("text", b"seven"))
    with connect(service) as client:
        client.sendall(request(body)[:-100])
        assert read_answer(client)[0] == 400
        client.sendall(body[-100:] + request())
        assert read_answer(client)[0] == 200


def test_after_an_early_refusal_a_body_without_end_is_ended(service: Service) -> None:
    with connect(service) as client:
        client.sendall(request(form(part("video", b"x")), length=10**6))
        assert status_of(trickle(client, b"x")) == 400
    assert_served(service)


def test_pipelined_requests_are_answered_in_turn(service: Service) -> None:
    with connect(service) as client:
        client.sendall(request() * 3)
        for _ in range(3):
            status, body = read_answer_of_pipeline(client)
            assert status == 200
            assert body


def read_answer_of_pipeline(client: socket.socket) -> tuple[int, bytes]:
    """Byte by byte, so that nothing of the next one is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), client.recv(length, socket.MSG_WAITALL)
