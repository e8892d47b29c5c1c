"""Which rows a search is about: {"colour": "red", "year": {"min": 1990, "max": 1999}, "shop": ["a", "b"]}."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from triad_serving.contract.errors import ParameterError
from triad_serving.contract.strict_json import strict_json
from triad_serving.search.store import EVERYTHING, Cell, Condition, Kind

FIELD = "filter"
MOST_VALUES = 1000  # of one list
NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


def read_condition(data: bytes | str, columns: Mapping[str, Kind]) -> Condition:
    """data: JSON. Raises ParameterError."""
    try:
        wanted = strict_json(data.encode() if isinstance(data, str) else data)
    except ValueError as error:
        raise ParameterError(f"{FIELD} is not JSON: {error}.", field=FIELD) from error
    if not isinstance(wanted, dict):
        raise ParameterError(f"{FIELD} is a JSON object: column -> value, list or min and max.", field=FIELD)
    sql, values = "", []
    for i, kind, name, value in _columns(wanted, columns):
        one_sql, one_values = _compare(f"c{i}", kind, name, value)
        sql += f" AND {one_sql}"
        values += one_values
    return Condition(and_sql=sql, values=tuple(values)) if sql else EVERYTHING


def _columns(wanted: Mapping[str, Any], columns: Mapping[str, Kind]) -> list[tuple[int, Kind, str, Any]]:
    names = list(columns)
    found = []
    for name, value in wanted.items():
        if name not in columns:
            known = ", ".join(names) or "none"
            raise ParameterError(
                f"There is no column {name[:80]!r} to filter by; there are: {known}.", field=FIELD
            )
        found.append((names.index(name), columns[name], name, value))
    return found


def _compare(column: str, kind: Kind, name: str, value: Any) -> tuple[str, list[Cell]]:
    if isinstance(value, list):
        if not 1 <= len(value) <= MOST_VALUES:
            detail = f"{FIELD}: {name} lists {len(value)} values; 1 to {MOST_VALUES} are read."
            raise ParameterError(detail, field=FIELD, limit=MOST_VALUES, value=len(value))
        return f"{column} IN ({','.join('?' * len(value))})", [
            cell_of(name, kind, each, FIELD) for each in value
        ]
    if isinstance(value, dict):
        if not value or value.keys() - {"min", "max"}:
            raise ParameterError(f"{FIELD}: {name} takes min and max, one or both.", field=FIELD)
        ends = {"min": f"{column} >= ?", "max": f"{column} <= ?"}
        sql = " AND ".join(ends[end] for end in value)
        return sql, [cell_of(name, kind, each, FIELD) for each in value.values()]
    return f"{column} = ?", [cell_of(name, kind, value, FIELD)]


def cell_of(name: str, kind: Kind, value: Any, field: str) -> Cell:
    """A JSON value as a cell of that column. Raises ParameterError."""
    if kind == "number":
        if isinstance(value, str) and NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ParameterError(f"{field}: {name} holds numbers, not {str(value)[:80]!r}.", field=field)
        return float(value) if abs(value) >= 2**63 else value
    if not isinstance(value, str | int | float):
        raise ParameterError(f"{field}: {name} holds strings, not {str(value)[:80]!r}.", field=field)
    return value if isinstance(value, str) else str(value)
