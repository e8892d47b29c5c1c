"""What is asked over HTTP, without the asking: both clients send these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from triad_serving.client.media import Media, Part, parts_of
from triad_serving.contract.errors import NothingToPredictError, ParameterError, UnexpectedAnswerError
from triad_serving.contract.language import Language
from triad_serving.contract.schema import Schema

Answer = TypeVar("Answer", bound=Schema)
Representation = Literal["application/json", "image/png", "text/html"]


class Asked(Media, total=False):
    """An example, and what to answer; see the service's `/v1/predict`. None: the service's default.

    timeout_s: of all tries together, in place of the client's. request_id: in place of the service's own.
    """

    model: str | None
    version: str | None
    top_k: int | None
    attention: Literal["none", "modality", "full"] | None
    explain: Literal["none", "shapley", "occlusion", "all"] | None
    target: str | None
    language: Language | None
    timeout_s: float | None
    request_id: str | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """timeout_s: None for the client's."""

    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Part] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


def predict_call(
    asked: Mapping[str, Any], *, path: str = "/v1/predict", accept: Representation = "application/json"
) -> Call:
    """asked: of `Asked`, the keys that are there.

    Raises DecodeError, NothingToPredictError, ParameterError.
    """
    unknown = sorted(asked.keys() - Asked.__annotations__.keys())
    if unknown:
        known = ", ".join(Asked.__annotations__)
        raise ParameterError(f"There is no {unknown[0]!r} to ask; known: {known}.", field=unknown[0])
    media = {name: asked[name] for name in Media.__annotations__ if asked.get(name) is not None}
    if not media:
        known = ", ".join(Media.__annotations__)
        raise NothingToPredictError(f"Nothing to predict from: give at least one of {known}.")
    options = {key: value for key, value in asked.items() if key not in Media.__annotations__}
    timeout_s, request_id = options.pop("timeout_s", None), options.pop("request_id", None)
    headers = {"Accept": accept} | ({"X-Request-ID": request_id} if request_id else {})
    return Call(
        method="POST",
        path=path,
        query={key: str(value) for key, value in options.items() if value is not None},
        parts=parts_of(media),
        headers=headers,
        timeout_s=timeout_s,
    )


def explain_call(asked: Mapping[str, Any], accept: Representation) -> Call:
    return predict_call(asked, path="/v1/explain", accept=accept)


def model_call(name: str, *more: str) -> Call:
    segments = (quote(segment, safe="") for segment in (name, *more))
    return Call(method="GET", path="/".join(["/v1/models", *segments]))


def reload_call(name: str, version: str | None) -> Call:
    query = {} if version is None else {"version": version}
    return Call(method="POST", path=f"/v1/models/{quote(name, safe='')}/reload", query=query)


def read(kind: type[Answer], response: httpx.Response) -> Answer:
    """Fields that a newer service adds are left out. Raises UnexpectedAnswerError."""
    try:
        return kind.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        raise UnexpectedAnswerError(
            f"{response.request.url} does not answer as a Triad service: {error.errors()[0]['msg']}."
        ) from error
