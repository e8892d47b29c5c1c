"""JSON without what other readers refuse or read otherwise."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def strict_json(data: bytes) -> Any:
    """Raises ValueError: no UTF-8, no JSON, NaN, a name twice in an object, half a surrogate pair."""
    try:
        found = json.loads(data, object_pairs_hook=_single_names, parse_constant=_refuse_constant)
        json.dumps(found, ensure_ascii=False).encode()  # it could not be answered either
    except RecursionError as error:
        raise ValueError("it is too deep") from error
    return found


def _single_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
