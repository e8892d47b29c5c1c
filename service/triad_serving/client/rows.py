"""Several examples in one request: what is sent for them, and what comes back of each."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import httpx

from triad_serving.client.calls import Asked, Call, predict_call, read
from triad_serving.client.media import Media
from triad_serving.client.tries import error_from
from triad_serving.contract.errors import TriadError, UnexpectedAnswerError
from triad_serving.http.schemas import BatchAnswer
from triad_serving.inference.answer import Prediction

Answer: TypeAlias = Prediction | TriadError


def in_groups(examples: Iterable[Asked], most: int) -> Iterator[list[Asked]]:
    """In their order; one that asks for more than others, by itself."""
    for alike, run in itertools.groupby(examples, key=lambda example: example.keys() <= _MEDIA):
        while group := list(itertools.islice(run, most if alike else 1)):
            yield group


@dataclass(frozen=True, kw_only=True)
class Rows:
    """call: None where no example could be read. refused: those, by place, with why."""

    call: Call | None
    refused: Mapping[int, TriadError]

    @classmethod
    def of(cls, examples: Sequence[Asked], asked: Mapping[str, Any]) -> Rows:
        """asked: of all of them."""
        calls: dict[int, Call] = {}
        refused: dict[int, TriadError] = {}
        for place, example in enumerate(examples):
            try:
                calls[place] = predict_call({**asked, **example}, path="/v1/predict/batch")
            except TriadError as error:
                refused[place] = error.without_tracebacks()
        if not calls:
            return cls(call=None, refused=refused)
        rows = []
        files = {}
        for place, call in calls.items():
            row: dict[str, Any] = {}
            for name, part in (call.parts or {}).items():
                file_name, content, content_type = part
                if file_name is not None:
                    row[name] = f"{name}-{place}"
                    files[row[name]] = part
                else:
                    row[name] = json.loads(content) if content_type else content.decode()
            rows.append(json.dumps(row, ensure_ascii=False))
        lines = ("rows.jsonl", "\n".join(rows).encode(), "application/jsonl")
        return cls(call=replace(next(iter(calls.values())), parts={"rows": lines, **files}), refused=refused)

    def read(self, response: httpx.Response, count: int) -> list[Answer]:
        """One of each of `count` examples. Raises UnexpectedAnswerError."""
        sent = iter(read(BatchAnswer, response).answers)
        answers: list[Answer] = []
        for place in range(count):
            if place in self.refused:
                answers.append(self.refused[place])
                continue
            answer = next(sent, None)
            if answer is not None and answer.prediction is not None:
                answers.append(answer.prediction)
            elif answer is not None and answer.problem is not None:
                answers.append(error_from(answer.problem))
            else:
                raise UnexpectedAnswerError(f"{response.request.url} left out row {place}.")
        return answers


_MEDIA = frozenset(Media.__annotations__)
