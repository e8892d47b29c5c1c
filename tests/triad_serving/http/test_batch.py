"""POST /v1/predict/batch: every row by itself, as one answer or as they are ready; limits, back-pressure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import client_of, png_bytes, wav_bytes
from triad_serving.engine.batcher import Answer
from triad_serving.engine.engine import Engine, Pending
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.http.multipart import UploadBudget
from triad_serving.http.schemas import BatchAnswer, RowAnswer
from triad_serving.inference.answer import Prediction
from triad_serving.settings import Settings

LIMIT_S = 10.0
NDJSON = {"Accept": "application/x-ndjson"}
PATH = "/v1/predict/batch"
Talk = Callable[[httpx.AsyncClient, Engine], Awaitable[Any]]


def talk(tiny_bundle: Path, conversation: Talk, **settings: Any) -> Any:
    async def go() -> Any:
        app = create_app(Settings(models=tiny_bundle, **settings))
        async with client_of(app) as client:
            return await asyncio.wait_for(conversation(client, app.state.engine), LIMIT_S)

    return asyncio.run(go())


def form(*rows: Any, **files: bytes) -> dict[str, Any]:
    """rows: objects, or lines as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    parts = {name: (f"{name}.bin", content) for name, content in files.items()}
    return {"rows": (None, "\n".join(lines).encode()), **parts}


def post(
    tiny_bundle: Path, files: Any, *, query: str = "", headers: Any = None, **settings: Any
) -> httpx.Response:
    async def conversation(client: httpx.AsyncClient, engine: Engine) -> httpx.Response:
        return await client.post(PATH + query, files=files, headers=headers)

    response: httpx.Response = talk(tiny_bundle, conversation, **settings)
    return response


def refusal(answer: RowAnswer) -> tuple[int, str | None]:
    assert answer.problem is not None, answer
    assert answer.prediction is None
    return answer.problem.status, answer.problem.field


THREE = form(
    {"text": "seven"},
    {"image": "white", "text": "七"},
    {"image": "white", "audio": "sound"},
    white=png_bytes(),
    sound=wav_bytes(0.1),
)


def test_rows_are_answered_as_single_requests_are(tiny_bundle: Path) -> None:
    singles: list[dict[str, Any]] = [
        {"text": (None, b"seven")},
        {"text": (None, "七".encode()), "image": ("a", png_bytes())},
        {"image": ("a", png_bytes()), "audio": ("b", wav_bytes(0.1))},
    ]

    async def conversation(client: httpx.AsyncClient, engine: Engine) -> None:
        query = "?attention=full&explain=all"
        headers = {"X-Request-ID": "many"}
        response = await client.post(PATH + query, files=THREE, headers=headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"] == "many"
        answers = BatchAnswer.model_validate_json(response.content).answers
        assert [answer.row for answer in answers] == [0, 1, 2]
        for answer, files in zip(answers, singles, strict=True):
            id_ = {"X-Request-ID": f"many.{answer.row}"}
            single = await client.post("/v1/predict" + query, files=files, headers=id_)
            assert answer.prediction == Prediction.model_validate_json(single.content)

    talk(tiny_bundle, conversation)


def test_lines_come_as_rows_are_ready(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Callable[[], None]] = []

    async def conversation(client: httpx.AsyncClient, engine: Engine) -> list[int]:
        real = engine._prepare

        def prepare(pending: Pending) -> None:
            if pending.id.endswith(".0"):
                held.append(lambda: real(pending))
                return
            real(pending)
            if pending.id.endswith(".2"):  # the last: now the first may go on
                pending.answer.add_done_callback(lambda _: held.pop()())

        monkeypatch.setattr(engine, "_prepare", prepare)
        response = await client.post(PATH, files=THREE, headers=NDJSON)
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = [RowAnswer.model_validate_json(line) for line in response.text.splitlines()]
        assert all(line.prediction for line in lines)
        return [line.row for line in lines]

    order = talk(tiny_bundle, conversation, threads=1)
    assert sorted(order) == [0, 1, 2]
    assert order[-1] == 0


def test_a_bad_row_is_refused_alone(tiny_bundle: Path) -> None:
    files = form(
        {"text": "seven"},
        {"image": "none"},
        {"image": "rows"},
        {"image": "noise"},
        {"image": "empty"},
        {"video": "white"},
        {"text": 7},
        '{"text": "seven", "text": "eight"}',
        "seven",
        {},
        {"text": "x" * 11},
        {"image": "white"},
        noise=b"noise",
        empty=b"",
        white=png_bytes(),
    )
    response = post(tiny_bundle, files, max_text_characters=10)
    first, *refused, last = BatchAnswer.model_validate_json(response.content).answers
    assert first.prediction
    assert last.prediction
    assert [refusal(answer) for answer in refused] == [
        (400, "image"),
        (400, "image"),
        (415, "image"),
        (422, "image"),
        (422, "video"),
        (422, "text"),
        (400, "rows"),
        (400, "rows"),
        (400, None),
        (413, "text"),
    ]
    assert refused[0].problem
    assert refused[0].problem.id == f"{response.headers['x-request-id']}.1"


@pytest.mark.parametrize(
    ("files", "status", "field"),
    [
        ({"text": (None, b"seven")}, 400, "rows"),
        (form(""), 400, "rows"),
        (form({"text": "seven"}, white=png_bytes()), 400, None),
        (form(*[{"text": "seven"}] * 4), 413, "rows"),
        (form(*["{}"], "\n" * 4, "{}"), 413, "rows"),
        (form({"image": "a"}, a=b"x" * 5000), 413, None),
        (form({"text": "seven"}, **{f"a{i}": b"" for i in range(13)}), 413, None),
    ],
)
def test_what_is_wrong_with_all_refuses_all(
    tiny_bundle: Path, files: Any, status: int, field: str | None
) -> None:
    response = post(tiny_bundle, files, max_rows=3, max_rows_mib=0.004)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().get("field") == field


def test_a_file_over_its_mediums_cap_is_refused_with_its_row(tiny_bundle: Path) -> None:
    files = form({"image": "a"}, {"audio": "a"}, a=wav_bytes(0.1))
    first, second = BatchAnswer.model_validate_json(
        post(tiny_bundle, files, max_image_mib=0.001).content
    ).answers
    assert refusal(first) == (413, "image")
    assert second.prediction


def test_query_and_accept_are_those_of_predict(tiny_bundle: Path) -> None:
    one = form({"text": "seven"})
    assert post(tiny_bundle, one, query="?top_k=0").status_code == 422
    assert post(tiny_bundle, one, query="?model=cats").status_code == 404
    assert post(tiny_bundle, one, headers={"Accept": "image/png"}).status_code == 406
    assert post(tiny_bundle, one, headers={"X-Request-Timeout-Ms": "soon"}).status_code == 422


def test_half_the_queue_stays_free(tiny_bundle: Path) -> None:
    depths: list[int] = []

    async def conversation(client: httpx.AsyncClient, engine: Engine) -> None:
        engine.on_run = lambda _: depths.append(engine.depth)
        response = await client.post(PATH, files=form(*[{"text": "seven"}] * 40))
        assert all(answer.prediction for answer in BatchAnswer.model_validate_json(response.content).answers)

    talk(tiny_bundle, conversation, max_queue=8)
    assert max(depths) <= 4


def test_a_row_waits_where_others_fill_the_queue(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation(client: httpx.AsyncClient, engine: Engine) -> int:
        tries = 0
        real = engine.start

        def free(places: list[Answer]) -> None:
            for place in places:
                place.cancel()

        def start(*arguments: Any, **named: Any) -> Pending:
            nonlocal tries
            if tries == 0:
                places = [engine._running_batcher().accept() for _ in range(2)]
                asyncio.get_running_loop().call_soon(free, places)
            tries += 1
            return real(*arguments, **named)

        monkeypatch.setattr(engine, "start", start)
        response = await client.post(PATH, files=form({"text": "seven"}))
        assert BatchAnswer.model_validate_json(response.content).answers[0].prediction
        return tries

    assert talk(tiny_bundle, conversation, max_queue=2) == 2


def test_a_full_queue_refuses_before_the_upload(tiny_bundle: Path) -> None:
    async def conversation(client: httpx.AsyncClient, engine: Engine) -> httpx.Response:
        places = [engine._running_batcher().accept() for _ in range(2)]
        response = await client.post(PATH, files=THREE)
        for place in places:
            place.cancel()
        return response

    response = talk(tiny_bundle, conversation, max_queue=2)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_what_is_late_gets_504_and_what_was_ready_its_answer(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation(client: httpx.AsyncClient, engine: Engine) -> httpx.Response:
        real = engine._prepare
        monkeypatch.setattr(engine, "_prepare", lambda p: p.id.endswith(".1") or real(p))
        headers = {"X-Request-Timeout-Ms": "300"}
        response = await client.post(PATH, files=THREE, headers=headers)
        assert engine.depth == 0
        return response

    answers = BatchAnswer.model_validate_json(talk(tiny_bundle, conversation).content).answers
    assert refusal(answers[1]) == (504, None)
    assert answers[0].prediction
    assert answers[2].prediction


def test_a_defect_fails_its_row_alone(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Engine.finish

    def finish(self: Engine, pending: Pending, result: Any) -> Any:
        if pending.id.endswith(".1"):
            raise ValueError("a defect")
        return real(self, pending, result)

    monkeypatch.setattr(Engine, "finish", finish)
    answers = BatchAnswer.model_validate_json(post(tiny_bundle, THREE).content).answers
    assert refusal(answers[1]) == (500, None)
    assert "a defect" in caplog.text
    assert answers[2].prediction


def test_who_leaves_leaves_nothing_behind(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither places in the queue nor bytes of the budget."""
    held = 0
    take, give_back = UploadBudget.take, UploadBudget.give_back

    def counted(
        change: Callable[[UploadBudget, int], None], sign: int
    ) -> Callable[[UploadBudget, int], None]:
        def change_and_count(self: UploadBudget, count: int) -> None:
            nonlocal held
            held += sign * count
            change(self, count)

        return change_and_count

    monkeypatch.setattr(UploadBudget, "take", counted(take, 1))
    monkeypatch.setattr(UploadBudget, "give_back", counted(give_back, -1))

    async def go() -> None:
        app = create_app(Settings(models=tiny_bundle))
        async with app.router.lifespan_context(app):
            engine: Engine = app.state.engine
            monkeypatch.setattr(engine, "_prepare", lambda pending: None)  # nothing is ever answered
            request = httpx.Request("POST", f"http://test{PATH}", files=THREE)
            messages = [{"type": "http.request", "body": request.read(), "more_body": False}]
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "method": "POST",
                "path": PATH,
                "query_string": b"",
                "headers": request.headers.raw,
                "client": ("127.0.0.1", 1),
            }

            async def receive() -> Any:
                if messages:
                    return messages.pop()
                while engine.depth < 3:
                    await asyncio.sleep(0)
                assert held == len(request.content)
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                assert message["type"] == "http.response.start"

            await asyncio.wait_for(app({**scope, "headers": lowered(request)}, receive, send), LIMIT_S)
            assert engine.depth == 0

    asyncio.run(go())
    assert held == 0


def lowered(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in request.headers.raw]


def test_a_row_is_a_request_to_a_keys_rate(tiny_bundle: Path, tmp_path: Path) -> None:
    secret = new_key()
    keys = tmp_path / "keys"
    keys.write_text(key_line("shop", secret, admin=False, rate="5/day") + "\n")

    async def conversation(client: httpx.AsyncClient, engine: Engine) -> list[int]:
        headers = {"Authorization": f"Bearer {secret}"}
        return [
            (await client.post(PATH, files=form(*[{"text": "seven"}] * rows), headers=headers)).status_code
            for rows in (3, 3, 1)
        ]

    assert talk(tiny_bundle, conversation, api_keys_file=keys) == [200, 429, 200]


def test_rows_are_counted_as_requests_are(tiny_bundle: Path) -> None:
    async def conversation(client: httpx.AsyncClient, engine: Engine) -> dict[tuple[str, ...], float]:
        await client.post(PATH, files=form({"text": "seven"}, {"image": "a"}, {"text": "七"}, a=b"noise"))
        text = (await client.get("/metrics")).text
        names = ("medium", "reason", "route")
        return {
            (sample.name, *(sample.labels.get(name, "") for name in names)): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in ("triad_media_total", "triad_rejected_total", "triad_requests_total")
        }

    counts = talk(tiny_bundle, conversation)
    assert counts[("triad_media_total", "text", "", "")] == 2
    assert counts[("triad_rejected_total", "", "unsupported-format", "")] == 1
    assert counts[("triad_requests_total", "", "", PATH)] == 1
