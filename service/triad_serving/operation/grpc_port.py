"""The port of the gRPC server, which every worker process listens on with a socket of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from triad_serving.contract.errors import SetupError
from triad_serving.operation.server import bind


@contextmanager
def reserved_grpc_port(host: str, port: int) -> Iterator[None]:
    """Tells the service, and its workers, to serve gRPC there; the port stays ours. 0 takes a free one.

    Raises SetupError where grpcio is missing, or somebody else has the port.
    """
    if find_spec("grpc") is None:
        raise SetupError("grpcio is missing: pip install triad-serving[grpc]")
    with bind(host, port) as free:  # alone: with the option below it would share another service's port
        port = free.getsockname()[1]
    with socket.socket(free.family) as held:
        if hasattr(socket, "SO_REUSEPORT"):  # Windows has none
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host, port))
        os.environ["TRIAD_GRPC_ADDRESS"] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        yield
