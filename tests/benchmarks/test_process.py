from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.process import ServerError, ServerProcess, ask, free_port, status_of

# Leaves a process behind that is no descendant of its; answers 503 twice, then 200.
SERVER = """
import socket, subprocess, sys
detach = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
subprocess.run([sys.executable, "-c", detach], start_new_session=True, check=True)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
for status in (503, 503, *[200] * 9):
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 {status} Said\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
"""
REQUEST = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"


def process(tmp_path: Path, *arguments: str) -> ServerProcess:
    command = [sys.executable, "-c", *arguments]
    return ServerProcess(command, environment={}, folder=tmp_path, log=tmp_path / "log")


def test_a_server_is_ready_with_its_first_200_and_leaves_no_process_behind(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, SERVER, str(port)) as server:
        assert server.wait_until_ready(port, REQUEST) > 0
        assert status_of(ask(port, REQUEST)) == 200
        assert server.cpu_s() > 0
        assert server.memory_mb() > 1
        everything = server._processes()
        assert len(everything) == 2
    assert not [each for each in everything if psutil.pid_exists(each.pid) and each.status() != "zombie"]


def test_a_server_is_idle_when_it_uses_no_more_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([1.0, 1.2, 1.4, 1.41])
    with process(tmp_path, "import signal; signal.pause()") as server:
        monkeypatch.setattr(server, "cpu_s", lambda: next(looks))
        server.wait_until_idle()
    assert list(looks) == []


def test_a_server_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    with (
        process(tmp_path, "raise SystemExit('no such model')") as server,
        pytest.raises(ServerError, match=r"ended with 1\. no such model"),
    ):
        server.wait_until_ready(free_port(), REQUEST)


@pytest.mark.parametrize(
    ("answer", "status"), [(b"HTTP/1.1 503 Busy\r\n", 503), (b"", None), (b"SSH-2.0 hello", None)]
)
def test_a_status_is_read_from_the_first_line(answer: bytes, status: int | None) -> None:
    assert status_of(answer) == status
