"""What can be measured: Triad in one and in several processes, and its peers; each by its name."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pipeline import BUNDLE, PORT, WORKERS
from benchmarks.serving.bodies import Encode, multipart_request, tensor_request
from benchmarks.serving.environments import python_of

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Server:
    """path and encode: where and how it takes requests. peer: its file in peers/; None: Triad.

    arguments: more of the command; {workers} stands for how many there shall be.
    """

    path: str = "/predict"
    encode: Encode = multipart_request
    peer: str | None = None
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, bundle: Path, *, port: int, workers: int) -> list[str]:
        """Installs a peer that is not there yet. Raises InstallError."""
        arguments = [argument.format(workers=workers) for argument in self.arguments]
        if self.peer is not None:
            return [str(python_of(self.peer)), "-m", f"benchmarks.peers.{self.peer}", *arguments]
        command = [sys.executable, "-m", "triad_serving.cli", "serve", "--models", str(bundle)]
        return [*command, "--port", str(port), *arguments]

    def variables(self, bundle: Path, *, port: int, workers: int) -> dict[str, str]:
        """What its environment has beside ours."""
        own = os.environ.get("PYTHONPATH", "") if self.peer is None else ""  # where Triad is not installed
        path = os.pathsep.join(filter(None, (str(ROOT), own)))
        told = {BUNDLE: str(bundle), PORT: str(port), WORKERS: str(workers), "PYTHONPATH": path}
        return {**told, **self.environment}


def triad(device: str, *more: str) -> Server:
    return Server(path="/v1/predict", arguments=("--device", device, *more))


def pytriton(*arguments: str) -> Server:
    path = "/v2/models/triad/infer"
    return Server(peer="pytriton", path=path, encode=tensor_request, arguments=arguments)


SERVERS: Mapping[str, Server] = {
    "triad": triad("cpu"),
    "triad-workers": triad("cpu", "--workers", "{workers}"),
    "fastapi": Server(peer="fastapi_tutorial"),
    "litserve": Server(peer="litserve"),
    "bentoml": Server(peer="bentoml"),
    "mlserver": Server(peer="mlserver"),
    "mosec": Server(peer="mosec", path="/inference"),
    "mosec-stages": Server(peer="mosec", path="/inference", arguments=("stages",)),
    "ray-serve": Server(
        peer="ray_serve",
        environment={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"},
    ),
    "pytriton": pytriton(),
    "pytriton-processes": pytriton("processes"),
}
