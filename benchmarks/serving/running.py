"""A server, started on a free port and ready, with files of requests in its own encoding."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.media import make_texts
from benchmarks.serving.bodies import write_requests
from benchmarks.serving.load import Load, drive
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.results import Measured, measure
from benchmarks.serving.servers import Server
from triad_serving.media.example import RawInputs


@dataclass(frozen=True, kw_only=True)
class Running:
    """start_s: from the start to the first answered request."""

    process: ServerProcess
    server: Server
    port: int
    folder: Path
    start_s: float

    def write(self, name: str, examples: Sequence[RawInputs]) -> list[Path]:
        """Requests for the load generator, kept as long as the server."""
        return write_requests(
            self.folder / name, [self.server.encode(raw, self.server.path) for raw in examples]
        )

    def drive(self, requests: Sequence[Path], *, concurrency: int, seconds: float) -> Load:
        """Returns when the server is idle again. Raises LoadError, ServerError."""
        load = drive(requests, port=self.port, concurrency=concurrency, seconds=seconds)
        self.process.wait_until_idle()
        return load

    def measure(self, requests: Sequence[Path], *, concurrency: int, seconds: float) -> Measured:
        """Returns when the server is idle again. Raises LoadError, ServerError."""
        cpu_s = self.process.cpu_s()
        load = drive(requests, port=self.port, concurrency=concurrency, seconds=seconds)
        measured = measure(load, cpu_s=self.process.cpu_s() - cpu_s, memory_mb=self.process.memory_mb())
        self.process.wait_until_idle()
        return measured


@contextmanager
def started(server: Server, bundle: Path, *, workers: int) -> Iterator[Running]:
    """Stopped at the end, with every process. Raises InstallError, ServerError."""
    port = free_port()
    command = server.command(bundle, port=port, workers=workers)
    variables = server.variables(bundle, port=port, workers=workers)
    probe = server.encode(make_texts()[0], server.path)
    with tempfile.TemporaryDirectory(prefix="triad-benchmark-") as temporary:
        folder = Path(temporary)
        with ServerProcess(command, environment=variables, folder=folder, log=folder / "log") as process:
            yield Running(
                process=process,
                server=server,
                port=port,
                folder=folder,
                start_s=process.wait_until_ready(port, probe),
            )
