from __future__ import annotations

import pytest

from benchmarks.serving.load import Load, LoadError, parse_output

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
