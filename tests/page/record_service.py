"""A service whose model reads named fields beside the other media, made by hand.

The model says how it weighs what it was given: every field that is there 0.1, except the first 0.2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from playwright.sync_api import Page, Request, Route

NAMES = ("age", "temperature", "sex")
MODEL: dict[str, Any] = {
    "name": "patients",
    "version": "1",
    "description": "Guesses an illness.",
    "created": "2026-11-23T00:00:00Z",
    "parameters": 1000,
    "device": "cpu",
    "data": "Invented.",
    "licence": "None.",
    "intended_use": "Tests.",
    "metrics": {"test": {"fields": {"illness": {"accuracy": 0.75}}}},
    "tasks": [{"name": "illness", "type": "classification", "labels": ["flu", "cold"]}],
    "inputs": {
        "text": {"max_tokens": 64, "vocabulary": 100},
        "image": {"formats": ["PNG"], "width": 28, "height": 28},
        "audio": {"formats": ["WAV"], "max_seconds": 4, "sample_rate": 16000},
        "fields": {
            "numeric": [
                {"name": "age", "low": 1.0, "median": 54.0, "high": 99.0},
                {"name": "temperature", "low": -2.5, "median": 36.8, "high": 1041.2},
            ],
            "categorical": [{"name": "sex", "labels": ["F", "M"]}],
        },
    },
}
# What lies in a Blob the browser shows only to the network: written out before, a test sees it, too.
WRITE_OUT = """
    const ask = fetch;
    window.fetch = async (address, request) => {
        if (!request?.body) return ask(address, request);
        const written = new Request(new URL(address, location.href), request);
        const headers = { "Content-Type": written.headers.get("Content-Type") };
        return ask(address, { ...request, headers, body: await written.arrayBuffer() });
    };
"""


@dataclass
class RecordService:
    """model: what it describes; warnings and problem: what it answers with besides."""

    model: dict[str, Any] = field(default_factory=lambda: MODEL)
    warnings: list[str] = field(default_factory=list)
    problem: dict[str, Any] | None = None
    asked: list[dict[str, Message]] = field(default_factory=list)

    def attend(self, page: Page) -> None:
        """From now on it answers what the page asks."""
        page.add_init_script(WRITE_OUT)
        page.route("**/v1/models*", lambda route: route.fulfill(json=self._list()))
        page.route("**/v1/models/*/versions/*", lambda route: route.fulfill(json=self.model))
        page.route("**/v1/predict*", self._predict)

    @property
    def fields(self) -> dict[str, Any] | None:
        """As sent with the latest request."""
        part = self.asked[-1].get("fields")
        return None if part is None else json.loads(content_of(part))

    def _list(self) -> dict[str, Any]:
        name, version = self.model["name"], self.model["version"]
        return {
            "default": name,
            "models": [{"name": name, "versions": [version], "default_version": version}],
        }

    def _predict(self, route: Route) -> None:
        self.asked.append(parts_of(route.request))
        if self.problem is not None:
            route.fulfill(status=self.problem["status"], json=self.problem)
            return
        media = self.asked[-1]
        route.fulfill(
            json={
                "id": "1",
                "warnings": self.warnings,
                "inputs": self._inputs(media),
                "predictions": {"illness": self._prediction(media)},
            }
        )

    def _inputs(self, media: dict[str, Message]) -> dict[str, Any]:
        given = [name for name in NAMES if name in (self.fields or {})]
        missing = [name for name in NAMES if name not in given]
        inputs = {
            "text": {"characters": 1},
            "image": {"width": 28, "height": 28},
            "audio": {"seconds": 1.0, "format": "WAV"},
            "fields": {"given": given, "missing": missing},
        }
        return {medium: told for medium, told in inputs.items() if medium in media}

    def _prediction(self, media: dict[str, Message]) -> dict[str, Any]:
        fields: list[dict[str, Any]] = [
            {"name": name, "weight": weight, "rollout": weight / 2}
            for name, weight in zip(NAMES, (0.2, 0.1, 0.1), strict=True)
            if name in (self.fields or {})
        ]
        occlusion = [{"name": f["name"], "drop": 0.3 - f["weight"], "weight": f["weight"]} for f in fields]
        words = content_of(media["text"]).decode().split() if "text" in media else []
        line = [
            {"weight": 1 / 20, "rollout": 1 / 20, "start": n / 20, "end": (n + 1) / 20} for n in range(20)
        ]
        grid = [[(row + column) / 96 for column in range(4)] for row in range(4)]
        attention = {
            "text": [
                {"token": word, "weight": 0.1, "rollout": 0.1, "start": at, "end": at + len(word)}
                for word, at in zip(words, starts_of(words), strict=True)
            ],
            "image": {"rows": 4, "columns": 4, "region": [0, 0, 28, 28], "weights": grid, "rollout": grid},
            "audio": line,
            "fields": fields,
        }
        probability = 0.5 + sum(each["weight"] for each in fields)
        interactions = [{"media": ["text", "fields"], "value": 0.1, "relation": "complete"}]
        return {
            "type": "classification",
            "label": "flu",
            "probability": probability,
            "top": [
                {"label": "flu", "probability": probability},
                {"label": "cold", "probability": 1 - probability},
            ],
            "attention": {
                "modalities": {name: 1 / len(media) if name in media else 0 for name in attention},
                **{name: told for name, told in attention.items() if name in media},
            },
            "attribution": {
                "target": "flu",
                "baseline": 0.5,
                **dict.fromkeys(attention, 0.0),
                "fields": probability - 0.5,
                "interactions": interactions if {"text", "fields"} <= set(media) else [],
            },
            "occlusion": {"fields": occlusion} if "fields" in media else {},
        }


def starts_of(words: list[str]) -> list[int]:
    return [sum(len(word) + 1 for word in words[:n]) for n in range(len(words))]


def content_of(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def parts_of(request: Request) -> dict[str, Message]:
    """Of a multipart body, by name."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    return parse_parts(head + (request.post_data_buffer or b""))


def parse_parts(multipart: bytes) -> dict[str, Message]:
    parts = BytesParser(policy=HTTP).parsebytes(multipart).iter_parts()
    return {str(part.get_param("name", header="content-disposition")): part for part in parts}
