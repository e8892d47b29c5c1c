"""POST /v1/explain: what each Accept gets, in which language, and that errors stay problems."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.conftest import client_of, png_bytes, wav_bytes
from tests.triad_serving.http.test_routes import FORM, problem_of, raw_form
from triad_serving.drawing.html.style import content_security_policy
from triad_serving.drawing.png import fonts
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.view import View
from triad_serving.inference.answer import Prediction
from triad_serving.inference.options import ExplainOptions
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings

PARTS = {"text": (None, b"seven <b>"), "image": ("a.png", png_bytes()), "audio": ("a.wav", wav_bytes(0.1))}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def explain(
    tiny_bundle: Path,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    files: Any = PARTS,
    content: Any = None,
    **settings: Any,
) -> httpx.Response:
    async def go() -> httpx.Response:
        async with client_of(create_app(Settings(models=tiny_bundle, **settings))) as client:
            sent = {"content": content} if content is not None else {"files": files}
            return await client.post(f"/v1/explain{query}", headers=headers, **sent)

    return asyncio.run(go())


def test_json_is_the_prediction_with_everything(tiny_bundle: Path) -> None:
    response = explain(tiny_bundle)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["vary"] == "Accept, Accept-Language"
    prediction = Prediction.model_validate_json(response.content)
    with Engine.open(tiny_bundle) as engine:
        raw = RawInputs(text="seven <b>", image=png_bytes(), audio=wav_bytes(0.1))
        same = engine.predict_sync(raw, ExplainOptions(), request_id=prediction.id)
    assert response.text == same.to_json()
    kind = prediction.predictions["kind"]
    assert kind.attention is not None
    assert kind.attention.text
    assert kind.attribution is not None
    assert kind.occlusion is not None
    assert prediction.fusion is not None


def test_less_can_be_asked_for(tiny_bundle: Path) -> None:
    response = explain(tiny_bundle, query="?explain=none&attention=modality&top_k=1")
    kind = Prediction.model_validate_json(response.content).predictions["kind"]
    assert (kind.attribution, kind.occlusion) == (None, None)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("image/*;q=0.5, application/json;q=0.4", "image/png"),
        (BROWSER, "text/html; charset=utf-8"),
    ],
)
def test_the_accepted_type_is_what_comes_back(tiny_bundle: Path, accept: str | None, kind: str) -> None:
    response = explain(tiny_bundle, headers={"Accept": accept} if accept else None)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert response.headers["x-request-id"].startswith("req-")
    stages = [entry.split(";")[0] for entry in response.headers["server-timing"].split(", ")]
    drawn = [] if kind == "application/json" else ["draw"]
    assert stages == ["preprocess", "queue", "inference", "postprocess", *drawn]


def test_a_picture_decodes(tiny_bundle: Path) -> None:
    response = explain(tiny_bundle, headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(response.content)) as image:
        image.load()
        assert image.format == "PNG"
    assert response.headers["content-language"] == "en"


def test_a_page_comes_with_its_policy_and_escapes_the_text(tiny_bundle: Path) -> None:
    response = explain(tiny_bundle, headers={"Accept": "text/html"})
    assert response.headers["content-security-policy"] == (
        f"{content_security_policy()}; frame-ancestors 'none'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<b>" not in response.text
    assert "&lt;" in response.text


@pytest.mark.parametrize(
    ("accepted", "query", "language"),
    [
        (None, "", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh"),
        ("en-GB,zh;q=0.1", "", "en"),
        ("fr", "", "en"),
        ("zh", "?language=en", "en"),
        ("en", "?language=zh", "zh"),
    ],
)
def test_the_language_is_the_querys_or_the_headers(
    tiny_bundle: Path, accepted: str | None, query: str, language: str
) -> None:
    headers = {"Accept": "text/html", **({"Accept-Language": accepted} if accepted else {})}
    response = explain(tiny_bundle, query=query, headers=headers)
    assert response.headers["content-language"] == language
    assert f'<html lang="{language}">' in response.text


def test_a_picture_in_a_language_without_letters_is_english(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_locate", lambda known: None)
    headers = {"Accept": "image/png", "Accept-Language": "zh"}
    assert explain(tiny_bundle, headers=headers).headers["content-language"] == "en"


def test_what_cannot_be_met_is_406_before_the_body_is_read(tiny_bundle: Path) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Accept": "image/jpeg, image/webp", "Content-Type": FORM}
    problem = problem_of(explain(tiny_bundle, headers=headers, content=never_read()))
    assert (problem.status, problem.title, problem.field) == (406, "Not acceptable", "Accept")
    assert problem.value == "image/jpeg, image/webp"
    assert "image/png" in problem.detail


@pytest.mark.parametrize("accept", ["image/png", "text/html"])
@pytest.mark.parametrize(
    ("content", "query", "status"),
    [
        (raw_form(("text", b"")), "", 400),
        (raw_form(("text", b"x")), "?model=cats", 404),
        (raw_form(("image", b"no image")), "", 415),
        (raw_form(("text", b"x")), "?target=cat", 422),
        (raw_form(("text", b"x")), "?language=fr", 422),
    ],
)
def test_errors_are_problems_whatever_is_accepted(
    tiny_bundle: Path, accept: str, content: bytes, query: str, status: int
) -> None:
    headers = {"Accept": accept, "Content-Type": FORM}
    assert problem_of(explain(tiny_bundle, query=query, headers=headers, content=content)).status == status


def test_it_is_drawn_off_the_event_loop(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def draw(self: View, *arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return original(self, *arguments)

    original = View.draw
    monkeypatch.setattr(View, "draw", draw)
    assert explain(tiny_bundle, headers={"Accept": "image/png"}).status_code == 200
    assert [name.rsplit("-", 1)[0] for name in threads] == ["triad-worker"]


def test_the_deadline_includes_the_drawing(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(View, "draw", lambda *_: gate.wait(60))

    async def go() -> httpx.Response:
        async with client_of(create_app(Settings(models=tiny_bundle, request_timeout_s=0.5))) as client:
            response = await client.post("/v1/explain", files=PARTS, headers={"Accept": "image/png"})
            gate.set()
            return response

    assert problem_of(asyncio.run(go())).status == 504


def test_a_drawing_that_fails_is_a_problem_and_not_told(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(View, "draw", broken)
    response = explain(tiny_bundle, headers={"Accept": "text/html"})
    assert problem_of(response).status == 500
    assert "secret" not in response.text
