"""The command line as a user runs it: answers, one-sentence failures, and a service that stops cleanly."""

from __future__ import annotations

import gzip
import io
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, NamedTuple

import httpx
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from PIL import Image

from tests.conftest import png_bytes, wav_bytes, write_tiny_bundle
from triad_serving import cli
from triad_serving.inference.bundle import read_bundle, write_bundle
from triad_serving.settings import usable_cores

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 60.0
COMMAND = [sys.executable, "-m", "triad_serving.cli"]
# As on a system where workers cannot be copies of a process that has loaded everything, or with a GPU.
STARTED_ANEW = """
from triad_serving import cli
from triad_serving.operation import workers
workers.may_fork = lambda settings: False
cli.main()
"""
HURRIED = """
import functools, uvicorn
uvicorn.Config = functools.partial(uvicorn.Config, timeout_worker_healthcheck=1)
"""
WAYS = {"copies": COMMAND, "started anew": [sys.executable, "-c", STARTED_ANEW]}
ALSO_SLOWLY = ["copies", pytest.param("started anew", marks=pytest.mark.slow)]


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRIAD_")}
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "service", "model_training"))
    return {**own, "PYTHONPATH": path, **more}


def triad(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The command within this process: one of its own takes a second to import what it needs."""
    printed, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(complained):
        for name in [name for name in os.environ if name.startswith("TRIAD_")]:
            patch.delenv(name)
        for name, value in more.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["triad", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    code = int(ended.value.code or 0)
    return subprocess.CompletedProcess(sys.argv, code, printed.getvalue(), complained.getvalue())


def triad_process(
    *arguments: str | Path, command: Sequence[str] = COMMAND, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@contextmanager
def serving(
    *arguments: str | Path, command: Sequence[str] = COMMAND, limit_s: float = LIMIT_S, **more: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `triad serve` on a free port, and its URL, once it says that it is ready.

    One process where no number of workers is given.
    """
    one = () if "--workers" in arguments else ("--workers", "1")
    process = subprocess.Popen(
        [*command, "serve", "--port", "0", *one, *map(str, arguments)],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(limit_s, process.terminate)  # killed, it would leave its workers behind
    watchdog.start()
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.communicate()
        yield process, found.group()
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=LIMIT_S)


def test_predict_prints_what_the_service_would_answer(tiny_bundle: Path, tmp_path: Path) -> None:
    image, audio = tmp_path / "a.png", tmp_path / "a.wav"
    image.write_bytes(png_bytes())
    audio.write_bytes(wav_bytes())
    result = triad(
        *("predict", "--model", tiny_bundle, "--text", "seven", "--image", image, "--audio", audio),
        *("--attention", "full", "--top-k", "1"),
    )
    answer = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert answer["model"] == "tiny"
    assert answer["predictions"]["kind"]["label"] == "picture"
    assert len(answer["predictions"]["kind"]["top"]) == 1
    assert answer["predictions"]["size"]["attention"]["image"]["rows"] == 2


def test_a_model_is_chosen_by_name_among_those_served(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tiny_bundle(tmp_path, name=name)
    result = triad("predict", "--model", "two", "--text", "seven", TRIAD_MODELS=str(tmp_path))
    assert json.loads(result.stdout)["model"] == "two"


def test_explain_prints_bars_and_writes_a_picture_and_a_page(tiny_bundle: Path, tmp_path: Path) -> None:
    image, png, html = tmp_path / "a.png", tmp_path / "seen.png", tmp_path / "seen.html"
    image.write_bytes(png_bytes())
    result = triad(
        *("explain", "--model", tiny_bundle, "--text", "seven", "--image", image, "--target", "word"),
        *("--png", png, "--html", html, "--language", "en"),
        COLUMNS="70",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert "kind: picture · " in result.stdout
    assert "Explained: the probability of word." in result.stdout
    assert max(map(len, (line for line in result.stdout.splitlines() if "█" in line))) <= 70
    with Image.open(png) as picture:
        picture.load()
    assert html.read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("variables", "arguments", "language"),
    [
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}, [], "zh"),
        ({"LC_ALL": "C.UTF-8", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}, [], "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, ["--language", "en"], "en"),
    ],
)
def test_explain_speaks_the_language_of_its_environment(
    tiny_bundle: Path, variables: dict[str, str], arguments: list[str], language: str
) -> None:
    result = triad(
        *("explain", "--model", tiny_bundle, "--text", "seven", *arguments),
        PYTHONUTF8="1",
        **variables,
    )
    assert ("注意力" in result.stdout) == (language == "zh")
    assert ("attention" in result.stdout) == (language == "en")


def test_inspect_says_what_a_bundle_is(tiny_bundle: Path) -> None:
    result = triad("inspect", tiny_bundle)
    assert result.returncode == 0
    for words in ("tiny version 1", "up to 8 tokens", "4 x 4 pixels", "8000 Hz", "kind", "accuracy 0.5"):
        assert words in result.stdout


def test_a_new_key_is_shown_once_and_its_line_lets_it_in(tiny_bundle: Path, tmp_path: Path) -> None:
    made = triad("key", "shop")
    secret = made.stderr.split()[-1]
    assert secret not in made.stdout
    keys = tmp_path / "keys.toml"
    keys.write_text(made.stdout + triad("key", "ops", "--admin").stdout)
    with serving("--models", tiny_bundle, TRIAD_API_KEYS_FILE=str(keys)) as (_, url):
        statuses = [
            httpx.get(f"{url}/v1/models", headers=headers).status_code
            for headers in ({}, {"Authorization": f"Bearer {secret}"})
        ]
    assert statuses == [401, 200]


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"triad \S+\n", triad_process("--version").stdout)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["predict"],
        ["explain"],
        ["inspect"],
        ["init"],
        ["train"],
        ["evaluate"],
        ["index"],
        ["search"],
    ],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = triad(*command, "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict"], "Nothing to predict from"),
        (["predict", "--text", "seven", "--model", "cats"], "There is no model 'cats'; served: tiny."),
        (["predict", "--image", "no-such-file.png"], "no-such-file.png cannot be read"),
        (["predict", "--image", __file__], "Not an image in a format that is read"),
        (["explain"], "Nothing to predict from"),
        (["explain", "--text", "seven", "--target", "cat"], "No task has the label 'cat'."),
        (["explain", "--text", "seven", "--png", "no-such-folder/a.png"], "no-such-folder/a.png cannot be"),
        (["inspect", "no-such-bundle"], "No bundle under no-such-bundle"),
        (["serve", "--models", "no-such-folder"], "no-such-folder does not exist"),
        (["search", "no-such-index", "--text", "seven"], "no-such-index is no index"),
        (["reindex", "no-such-index"], "no-such-index is no index"),
        (["serve", "--index", "no-such-index"], "no-such-index does not exist"),
        (["key", "a b"], "No key can be named 'a b'"),
        (["serve", "--host", "256.256.256.256"], "Cannot listen on 256.256.256.256"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_a_sentence(
    tiny_bundle: Path, arguments: list[str], words: str
) -> None:
    run = triad_process if arguments[0] == "serve" else triad
    result = run(*arguments, TRIAD_MODELS=str(tiny_bundle))
    assert result.returncode == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_setting_out_of_range_is_named(tiny_bundle: Path) -> None:
    result = triad("predict", "--text", "a", TRIAD_MODELS=str(tiny_bundle), TRIAD_MAX_BATCH="0")
    assert result.returncode == 2
    assert result.stderr == "max_batch: Input should be greater than or equal to 1.\n"


def test_a_port_in_use_is_said_before_any_model_is_loaded(tiny_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = triad_process("serve", "--models", tiny_bundle, "--port", port)
    assert result.returncode == 2
    assert result.stderr == f"Cannot listen on 127.0.0.1 port {port}: Address already in use.\n"


@pytest.mark.parametrize(
    "command", [["init", "table.csv"], ["train", "config.toml"], ["evaluate", "bundle", "table.csv"]]
)
def test_training_commands_name_the_extra_that_they_need(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('hidden', name='torch')\n")
    result = triad_process(*command, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert result.returncode == 2
    assert result.stderr == "torch is missing: pip install triad-serving[train]\n"


def test_a_service_answers_and_on_sigterm_finishes_what_it_accepted(tiny_bundle: Path) -> None:
    """Uploads are halfway in when the signal comes: each is answered, and the exit code is 0."""
    with serving("--models", tiny_bundle) as (process, url):
        assert httpx.get(f"{url}/readyz").json() == {"status": "ok"}
        halfway, finish = threading.Semaphore(0), threading.Event()

        def upload() -> Iterator[bytes]:
            yield b'--XX\r\nContent-Disposition: form-data; name="text"\r\n\r\nsev'
            halfway.release()
            assert finish.wait(LIMIT_S)
            yield b"en\r\n--XX--\r\n"

        def ask() -> httpx.Response:
            headers = {"Content-Type": "multipart/form-data; boundary=XX"}
            return httpx.post(f"{url}/v1/predict", content=upload(), headers=headers, timeout=LIMIT_S)

        with ThreadPoolExecutor(16) as pool:
            answers = [pool.submit(ask) for _ in range(16)]
            for _ in answers:
                assert halfway.acquire(timeout=LIMIT_S)
            wait_until_counted(url)
            process.send_signal(signal.SIGTERM)
            wait_until_refused(url)
            finish.set()
            statuses = [answer.result().status_code for answer in answers]
        assert statuses == [200] * 16
        assert process.wait(LIMIT_S) == 0


def wait_until_counted(url: str) -> None:
    """A round trip behind the uploads: the server has begun every connection that came before it."""
    for _ in range(3):
        assert httpx.get(f"{url}/healthz").status_code == 200


def wait_until_refused(url: str) -> None:
    """Until no connection is taken any more; on the way there readiness must have been seen red."""
    red = False
    while True:
        try:
            response = httpx.get(f"{url}/readyz")
        except httpx.TransportError:
            assert red
            return
        red = red or (response.status_code == 503 and response.headers["connection"] == "close")


def test_a_service_logs_json_where_asked_and_ctrl_c_ends_it_with_exit_code_0(tiny_bundle: Path) -> None:
    command = ("--models", tiny_bundle, "--log-format", "json")
    with serving(*command, TRIAD_LOG_REQUESTS="true") as (process, url):
        assert httpx.post(f"{url}/v1/predict", files={"text": (None, b"seven")}).status_code == 200
        process.send_signal(signal.SIGINT)
        lines = [json.loads(line) for line in process.communicate(timeout=LIMIT_S)[1].splitlines()]
    assert process.returncode == 0
    [asked] = [line for line in lines if line["logger"].endswith("request_log")]
    assert (asked["route"], asked["status"], asked["media"]) == ("/v1/predict", 200, "text")


class Collector(BaseHTTPRequestHandler):
    """Takes what exporters of OpenTelemetry send."""

    spans: ClassVar[queue.Queue[Span]]

    def do_POST(self) -> None:  # its base looks for this name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put(span)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    """Its address."""
    Collector.spans = queue.Queue()
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_request_is_traced_within_its_callers_trace(tiny_bundle: Path, collector: str) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    trace_id, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace_id}-{caller}-01", "X-Request-ID": "mine"}
    with serving("--models", tiny_bundle, **variables) as (_, url):
        httpx.get(f"{url}/healthz", headers=headers)
        answer = httpx.post(f"{url}/v1/predict", files={"text": (None, b"seven")}, headers=headers)
        spans = [Collector.spans.get(timeout=LIMIT_S) for _ in range(5)]
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"POST /v1/predict", "preprocess", "queue", "inference", "postprocess"}
    request = by_name["POST /v1/predict"]
    assert request.parent_span_id.hex() == caller
    assert {span.trace_id.hex() for span in spans} == {trace_id}
    assert answer.headers["traceresponse"] == f"00-{trace_id}-{request.span_id.hex()}-01"
    attributes = {each.key: each.value for each in request.attributes}
    assert attributes["triad.request_id"].string_value == "mine"
    assert attributes["triad.model"].string_value == "tiny/1"
    stages = [by_name[name] for name in ("preprocess", "queue", "inference", "postprocess")]
    assert {stage.parent_span_id for stage in stages} == {request.span_id}
    moments = [moment for span in stages for moment in (span.start_time_unix_nano, span.end_time_unix_nano)]
    assert moments == sorted(moments)
    assert request.start_time_unix_nano <= moments[0]
    assert moments[-1] <= request.end_time_unix_nano
    assert Collector.spans.empty()


def test_without_a_collector_nothing_of_tracing_is_loaded(tiny_bundle: Path) -> None:
    program = (
        "import sys, asyncio\n"
        "from tests.conftest import client_of\n"
        "from triad_serving import Settings, create_app\n"
        "async def go():\n"
        f"    async with client_of(create_app(Settings(models={str(tiny_bundle)!r}))) as client:\n"
        "        answer = await client.post('/v1/predict', files={'text': (None, b'seven')})\n"
        "        assert answer.status_code == 200 and 'traceresponse' not in answer.headers\n"
        "asyncio.run(go())\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]\n"
        "assert 'triad_serving.http.tracing' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


class Workers(NamedTuple):
    process: subprocess.Popen[str]
    url: str
    models: Path


@contextmanager
def two_workers(models: Path, way: str) -> Iterator[Workers]:
    """Two that serve the model `one`; several tests share them, and each leaves two behind that answer."""
    write_tiny_bundle(models, name="one")
    arguments = ("--models", models, "--workers", "2")
    with serving(*arguments, command=WAYS[way], limit_s=5 * LIMIT_S) as (process, url):
        yield Workers(process, url, models)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with two_workers(tmp_path_factory.mktemp("copies"), "copies") as workers:
        yield workers


@pytest.fixture(scope="module")
def started_anew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with two_workers(tmp_path_factory.mktemp("anew"), "started anew") as workers:
        yield workers


@pytest.fixture
def workers(request: pytest.FixtureRequest, way: str) -> Workers:
    found: Workers = request.getfixturevalue(way.replace(" ", "_"))
    return found


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    workers = []
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        with suppress(OSError):  # it has just ended
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                workers.append(int(pid))
    return workers


def count_sockets(pid: int) -> int:
    return sum(str(file.readlink()).startswith("socket:") for file in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("way", ALSO_SLOWLY)
def test_connections_go_to_the_workers_in_turn(workers: Workers) -> None:
    """The first to ask them: no connection of another test is still being closed."""
    pids = workers_of(workers.process)
    before = [count_sockets(pid) for pid in pids]
    with ExitStack() as clients:
        for _ in range(32):
            client = clients.enter_context(httpx.Client())
            assert client.get(f"{workers.url}/healthz").status_code == 200
        taken = [count_sockets(pid) - count for pid, count in zip(pids, before, strict=True)]
    assert taken == [16, 16]


@pytest.mark.skipif(sys.platform == "win32", reason="workers share a socket by file descriptor")
@pytest.mark.parametrize("way", ALSO_SLOWLY)
def test_workers_share_one_port_and_one_count(workers: Workers) -> None:
    def count() -> float:
        line = r'^triad_requests_total{model="one",route="/v1/predict",status="200"} (\S+)$'
        found = re.search(line, httpx.get(f"{workers.url}/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = count()
    for _ in range(8):  # a connection each, so that both workers may get some
        answer = httpx.post(f"{workers.url}/v1/predict", files={"text": (None, b"seven")})
        assert answer.status_code == 200
    assert count() == before + 8


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are not copies")
def test_workers_share_the_memory_of_what_was_loaded_before_them(
    copies: Workers, started_anew: Workers
) -> None:
    """A page that several processes share counts in each by its part (PSS)."""

    def memory_mb(workers: Workers) -> float:
        for _ in range(8):
            answer = httpx.post(f"{workers.url}/v1/predict", files={"text": (None, b"seven")})
            assert answer.status_code == 200
        parts = [
            re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            for pid in (workers.process.pid, *workers_of(workers.process))
        ]
        return sum(int(part[1]) for part in parts if part) / 1024

    assert memory_mb(copies) < 0.7 * memory_mb(started_anew)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_died_is_replaced(workers: Workers) -> None:
    before = workers_of(workers.process)
    os.kill(before[0], signal.SIGKILL)
    while before[0] in (now := workers_of(workers.process)) or len(now) < 2:
        assert workers.process.poll() is None  # the watchdog of `serving` ends it at last
    for _ in range(16):
        assert httpx.get(f"{workers.url}/healthz").status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process as Linux can")
def test_a_connection_that_a_worker_cannot_open_is_logged(copies: Workers) -> None:
    worker = psutil.Process(workers_of(copies.process)[0])
    usual = worker.rlimit(psutil.RLIMIT_NOFILE)
    worker.rlimit(psutil.RLIMIT_NOFILE, (3, usual[1]))
    for _ in range(2):
        with suppress(httpx.TransportError):
            httpx.get(f"{copies.url}/healthz")
    assert copies.process.stderr
    lost = "A connection was lost for want of file descriptors."
    while lost not in (line := copies.process.stderr.readline()):
        assert line, "the service ended"
    worker.rlimit(psutil.RLIMIT_NOFILE, usual)
    for _ in range(2):
        assert httpx.get(f"{copies.url}/healthz").status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_a_stopped_worker_gets_no_connections_after_a_second(copies: Workers) -> None:
    stopped = workers_of(copies.process)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        answered, deadline_s = 0, time.monotonic() + 3  # after 5 s without an answer it is replaced
        while answered < 8:
            assert time.monotonic() < deadline_s
            try:
                httpx.get(f"{copies.url}/healthz", timeout=0.2)
            except httpx.TimeoutException:
                answered = 0  # it was given to the stopped one
            else:
                answered += 1
        assert stopped in workers_of(copies.process)
    finally:
        os.kill(stopped, signal.SIGCONT)


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
@pytest.mark.parametrize("way", WAYS)
def test_new_models_are_served_after_a_hangup_without_a_gap(workers: Workers) -> None:
    write_tiny_bundle(workers.models, name="two")
    workers.process.send_signal(signal.SIGHUP)
    wait_for_two_models(workers.process, workers.url)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_new_models_are_served_by_workers_that_start_slower_than_a_ping_may_be(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, name="one")
    command = [sys.executable, "-c", HURRIED + STARTED_ANEW]
    with serving("--models", tmp_path, "--workers", "2", command=command) as (process, url):
        write_tiny_bundle(tmp_path, name="two")
        process.send_signal(signal.SIGHUP)
        wait_for_two_models(process, url)


def wait_for_two_models(process: subprocess.Popen[str], url: str) -> None:
    """Until every worker serves both; each request on the way is answered."""
    while len(names := model_names(url)) < 2 or any(len(model_names(url)) < 2 for _ in range(16)):
        assert process.poll() is None
    assert names == ["one", "two"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_without_a_number_there_is_a_worker_for_each_usable_core(tiny_bundle: Path) -> None:
    command = [*COMMAND, "serve", "--port", "0", "--models", str(tiny_bundle)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(LIMIT_S, process.terminate)
        watchdog.start()
        assert process.stdout
        assert "Triad is ready" in process.stdout.readline()
        cores = usable_cores()
        assert len(workers_of(process)) == (cores if cores > 1 else 0)
        takes = re.fullmatch(
            r"  takes +(\d+) process(?:es)?, (\d+) MiB, ([\d.]+) s after the start\n",
            process.stdout.readline(),
        )
        assert takes
        assert int(takes[1]) == (cores + 1 if cores > 1 else 1)
        assert 20 < int(takes[2]) < 2000
        assert 0 < float(takes[3]) < LIMIT_S
        watchdog.cancel()
        process.terminate()
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the workers would find out themselves")
def test_models_that_do_not_load_after_a_hangup_change_nothing(tmp_path: Path) -> None:
    broken = write_tiny_bundle(tmp_path, name="one")
    with serving("--models", tmp_path, "--workers", "2") as (process, url):
        before = workers_of(process)
        (broken / "model.onnx").write_bytes(b"no graph")
        process.send_signal(signal.SIGHUP)
        assert process.stderr
        while "The models in service stay." not in (line := process.stderr.readline()):
            assert line, "the service ended"
        assert "model.onnx" in line
        assert model_names(url) == ["one"]
        assert workers_of(process) == before


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
@pytest.mark.parametrize(("workers", "watch_s"), [(1, 0), (2, 0.05)])
def test_new_models_are_served_after_a_hangup_or_when_they_are_seen(
    tmp_path: Path, workers: int, watch_s: float
) -> None:
    write_tiny_bundle(tmp_path, name="one")
    arguments = ("--models", tmp_path, "--workers", str(workers))
    with serving(*arguments, TRIAD_WATCH_S=str(watch_s)) as (process, url):
        write_tiny_bundle(tmp_path, name="two")
        if not watch_s:
            process.send_signal(signal.SIGHUP)
        while model_names(url) != ["one", "two"]:
            assert process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_a_worker_asked_to_reload_lets_all_of_them_change(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    with serving("--models", tmp_path, "--workers", "2") as (process, url):
        before = workers_of(process)
        write_tiny_bundle(tmp_path, version="2")
        answer = httpx.post(f"{url}/v1/models/tiny/reload", timeout=LIMIT_S)
        assert (answer.status_code, answer.json()) == (202, {"status": "replacing workers"})
        while set(before) & set(workers_of(process)):
            assert process.poll() is None
        for _ in range(4):  # a connection each
            report = httpx.get(f"{url}/v1/models/tiny").json()
            assert (report["default_version"], report["versions"]) == ("2", ["1", "2"])
        (tmp_path / "tiny" / "2" / "model.onnx").write_bytes(b"no graph")
        refused = httpx.post(f"{url}/v1/models/tiny/reload", timeout=LIMIT_S)
        assert (refused.status_code, "model.onnx was changed" in refused.text) == (409, True)


def model_names(url: str) -> list[str]:
    return [model["name"] for model in httpx.get(f"{url}/v1/models").json()["models"]]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("way", ALSO_SLOWLY)
def test_workers_end_when_their_supervisor_was_killed(tiny_bundle: Path, way: str) -> None:
    with serving("--models", tiny_bundle, "--workers", "2", command=WAYS[way]) as (process, url):
        workers = workers_of(process)
        assert len(workers) == 2
        assert httpx.get(f"{url}/healthz").status_code == 200
        process.kill()
        _, alive = psutil.wait_procs([psutil.Process(pid) for pid in workers], timeout=LIMIT_S)
        assert alive == []


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ("copies", "The graph cannot be loaded: "),
        ("started anew", "The workers did not start; the log says why."),
    ],
)
def test_workers_that_cannot_start_end_the_command(
    tiny_bundle: Path, tmp_path: Path, way: str, sentence: str
) -> None:
    """A bundle whose hashes hold but whose graph does not load: who loads it finds out."""
    manifest = read_bundle(tiny_bundle).manifest
    files = {"model.onnx": b"no graph", "vocabulary.txt": b"seven\n"}
    broken = write_bundle(tmp_path / "1", manifest, files).path
    result = triad_process("serve", "--models", broken, "--port", "0", "--workers", "2", command=WAYS[way])
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(sentence)
    assert "The graph cannot be loaded" in result.stderr
