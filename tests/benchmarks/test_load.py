from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from benchmarks.serving.bodies import batch_request
from benchmarks.serving.load import Load, LoadError, drive, parse_output
from benchmarks.serving.process import free_port
from benchmarks.serving.python_load import percentiles_ms
from triad_serving.media.example import RawInputs

PRINTED = """\
Running 3s test @ http://127.0.0.1:51321
  1 threads and 32 connections
  554 requests in 3.01s, 632.98KB read
Requests/sec:    184.35
Transfer/sec:    210.64KB
{"seconds": 3.007344, "ok": 550, "refused": 3, "failed": 1, "lost": 2, "p50_ms": 171.226, "p99_ms": 214.310}
"""


def test_the_line_behind_the_report_of_wrk_is_read() -> None:
    assert parse_output(PRINTED) == Load(
        seconds=3.007344, ok=550, refused=3, failed=1, lost=2, p50_ms=171.226, p99_ms=214.31
    )


def test_a_report_without_that_line_is_an_error_that_quotes_it() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        parse_output("unable to connect to 127.0.0.1:1 Connection refused\n")


class Answering(http.server.BaseHTTPRequestHandler):
    """503 for every third request."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503 if type(self).asked % 3 == 0 else 200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_: object) -> None:
        pass


def test_without_wrk_python_asks_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    request = tmp_path / "0.http"
    request.write_bytes(batch_request([RawInputs(text="seven")], "/v1/predict/batch"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        load = drive([request], port=server.server_port, concurrency=2, seconds=0.3)
        server.shutdown()
        thread.join()
    assert load.ok > load.refused > 0
    assert (load.failed, load.lost) == (0, 0)
    assert 0 < load.p50_ms <= load.p99_ms


def test_percentiles_of_few_answers() -> None:
    assert percentiles_ms([]) == (0, 0)
    assert percentiles_ms([0.5]) == (500, 500)
    assert percentiles_ms([0.1, 0.2, 0.3])[0] == pytest.approx(200)
