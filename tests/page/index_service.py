"""A service with an index of a few rows, made by hand; the model that it belongs to is the shipped one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Page, Route

from tests.conftest import png_bytes, wav_bytes
from tests.page.record_service import WRITE_OUT, content_of, parts_of

ROWS = 30
INDEX: dict[str, Any] = {
    "name": "numbers",
    "model": "digits",
    "version": "1",
    "rows": ROWS,
    "width": 64,
    "vectors": "float32",
    "media": ["text", "image", "audio"],
    "shows_media": True,
    "columns": [
        {"name": "digit", "type": "category", "values": ["3", "7"]},
        {"name": "ink", "type": "number", "low": 0.5, "high": 99.0},
        {"name": "writer", "type": "string"},
    ],
}


@dataclass
class IndexService:
    """problem: what it answers a search with, if anything. Some rows have no sound, some no image."""

    indexes: list[dict[str, Any]] = field(default_factory=lambda: [INDEX])
    problem: dict[str, Any] | None = None
    asked: list[dict[str, Message]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)

    def attend(self, page: Page) -> None:
        """From now on it answers what the page asks of an index."""
        page.add_init_script(WRITE_OUT)
        page.route("**/v1/indexes", lambda route: route.fulfill(json={"indexes": self.indexes}))
        page.route("**/v1/indexes/numbers/rows/*/image", lambda route: route.fulfill(body=png_bytes(28, 28)))
        page.route("**/v1/indexes/numbers/rows/*/audio", lambda route: route.fulfill(body=wav_bytes()))
        page.route("**/v1/search?*", self._search)

    def sent(self, name: str) -> str:
        """A field of the latest search."""
        return content_of(self.asked[-1][name]).decode()

    def _search(self, route: Route) -> None:
        self.asked.append(parts_of(route.request))
        self.queries.append(dict(parse_qsl(urlsplit(route.request.url).query)))
        if self.problem is not None:
            route.fulfill(status=self.problem["status"], json=self.problem)
            return
        wanted = json.loads(self.sent("filter")) if "filter" in self.asked[-1] else {}
        rows = [n for n in range(ROWS) if str(row_of(n)["digit"]) in wanted.get("digit", ["3", "7"])]
        found = [hit(n, at) for at, n in enumerate(rows[: int(self.sent("k"))])]
        route.fulfill(json={"id": "1", "model": "digits", "version": "1", "index": "numbers",
                            "results": found, "warnings": []})  # fmt: skip


def row_of(n: int) -> dict[str, Any]:
    return {"digit": ("3", "7")[n % 2], "ink": n + 0.5}


def hit(n: int, at: int) -> dict[str, Any]:
    media = [medium for medium, gap in (("image", 4), ("audio", 3)) if n % gap != 1]
    return {
        "row": str(n),
        "score": 0.9 - at / 100,
        "matched": "image" if "image" in media else "text",
        "columns": row_of(n),
        "text": f"This is row <{n}>.",
        "media": {medium: f"/v1/indexes/numbers/rows/{n}/{medium}" for medium in media},
    }
