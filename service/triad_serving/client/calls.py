"""What is asked over HTTP, without the asking: both clients send these."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
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


class EmbedAsked(Media, total=False):
    """An example, and which model's vectors of it; see `/v1/embed`."""

    model: str | None
    version: str | None
    timeout_s: float | None
    request_id: str | None


class SearchAsked(Media, total=False):
    """What to search by, media or a `vector`, and where; see `/v1/search`."""

    vector: Sequence[float] | None
    index: str | None
    by: str | None
    k: int | None
    filter: Mapping[str, Any] | None
    timeout_s: float | None
    request_id: str | None


class RowAsked(Media, total=False):
    """A row for an index: its media, `columns`, and its id, `row`; see `/v1/indexes/{index}/rows`."""

    row: str | None
    columns: Mapping[str, str | int | float] | None
    timeout_s: float | None
    request_id: str | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """timeout_s: None for the client's."""

    method: Literal["GET", "POST", "DELETE"]
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
    return _post(path, asked, Asked, accept=accept)


def embed_call(asked: Mapping[str, Any]) -> Call:
    """Raises what `predict_call` raises."""
    return _post("/v1/embed", asked, EmbedAsked)


def search_call(asked: Mapping[str, Any]) -> Call:
    """Raises what `predict_call` raises."""
    return _post("/v1/search", asked, SearchAsked, fields=("k", "filter", "vector"), instead="vector")


def put_row_call(index: str, asked: Mapping[str, Any]) -> Call:
    """Raises what `predict_call` raises."""
    path = f"/v1/indexes/{quote(index, safe='')}/rows"
    return _post(path, asked, RowAsked, fields=("row", "columns"))


def delete_row_call(index: str, row: str) -> Call:
    return Call(method="DELETE", path=f"/v1/indexes/{quote(index, safe='')}/rows/{quote(row, safe='')}")


def _post(
    path: str,
    asked: Mapping[str, Any],
    kind: type,
    *,
    accept: Representation = "application/json",
    fields: Collection[str] = (),
    instead: str = "",
) -> Call:
    """Media and `fields` go into the body, other options into the query. instead: what may replace media."""
    unknown = sorted(asked.keys() - kind.__annotations__.keys())
    if unknown:
        known = ", ".join(kind.__annotations__)
        raise ParameterError(f"There is no {unknown[0]!r} to ask; known: {known}.", field=unknown[0])
    given = {key: value for key, value in asked.items() if value is not None}
    media = {name: given.pop(name) for name in Media.__annotations__ if name in given}
    if not media and instead not in given:
        known = ", ".join(Media.__annotations__)
        raise NothingToPredictError(f"Nothing to predict from: give at least one of {known}.")
    timeout_s, request_id = given.pop("timeout_s", None), given.pop("request_id", None)
    parts = parts_of(media)
    for name in fields:
        if name in given:
            parts[name] = (None, _written(given.pop(name)).encode(), None)
    headers = {"Accept": accept} | ({"X-Request-ID": request_id} if request_id else {})
    query = {key: str(value) for key, value in given.items()}
    return Call(method="POST", path=path, query=query, parts=parts, headers=headers, timeout_s=timeout_s)


def _written(value: Any) -> str:
    """A field of the body: a string as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps([float(each) for each in value] if isinstance(value, Sequence) else value)


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
