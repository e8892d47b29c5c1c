"""The gRPC port: found or refused before anything starts, then shared by the workers alone."""

from __future__ import annotations

import os
import socket

import pytest

from triad_serving.contract.errors import SetupError
from triad_serving.operation.grpc_port import reserved_grpc_port
from triad_serving.operation.server import bind


@pytest.fixture(autouse=True)
def _the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAD_GRPC_ADDRESS", "")


def test_a_free_port_is_kept_for_the_workers() -> None:
    with reserved_grpc_port("127.0.0.1", 0):
        host, _, port = os.environ["TRIAD_GRPC_ADDRESS"].rpartition(":")
        with pytest.raises(SetupError, match="Cannot listen on"):
            bind(host, int(port))
        with socket.socket() as first, socket.socket() as second:
            for worker in (first, second):
                worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                worker.bind((host, int(port)))
                worker.listen()


def test_a_port_that_another_service_shares_is_refused() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with (
            pytest.raises(SetupError, match="Cannot listen on"),
            reserved_grpc_port("127.0.0.1", other.getsockname()[1]),
        ):
            pass


def test_an_install_without_grpc_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triad_serving.operation.grpc_port.find_spec", lambda _: None)
    with (
        pytest.raises(SetupError, match=r"pip install triad-serving\[grpc\]"),
        reserved_grpc_port("127.0.0.1", 0),
    ):
        pass
