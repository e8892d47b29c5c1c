"""What a search and a new row say beside their media: fields of the multipart body."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic_core import from_json

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import ParameterError
from triad_serving.contract.strict_json import strict_json
from triad_serving.search.conditions import FIELD as FILTER
from triad_serving.search.conditions import cell_of, read_condition
from triad_serving.search.query import unit
from triad_serving.search.store import EVERYTHING, ROW_ID, About, Cell, Condition

K, VECTOR, ROW, COLUMNS = "k", "vector", "row", "columns"
DEFAULT_K, MOST_K = 10, 1000
KIB = 1024
SEARCH_FIELDS = {K: 16, FILTER: 64 * KIB, VECTOR: 256 * KIB}  # most bytes of each
ROW_FIELDS = {ROW: KIB, COLUMNS: 64 * KIB}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """vector_D: of length 1, where one was sent in place of media."""

    k: int
    condition: Condition
    vector_D: F32 | None


def read_search(fields: Mapping[str, bytes], about: About) -> Asked:
    """Raises ParameterError."""
    return Asked(
        k=_read_k(fields.get(K)),
        condition=read_condition(fields[FILTER], about.columns) if fields.get(FILTER) else EVERYTHING,
        vector_D=_read_vector(fields[VECTOR], about.width) if fields.get(VECTOR) else None,
    )


def _read_k(data: bytes | None) -> int:
    if not data:
        return DEFAULT_K
    sent = data.decode("utf-8", errors="replace")
    if not (data.isdigit() and 1 <= int(data) <= MOST_K):
        raise ParameterError(f"k: send a whole number from 1 to {MOST_K}.", field=K, limit=MOST_K, value=sent)
    return int(data)


def _read_vector(data: bytes, width: int) -> F32:
    try:
        vector_D = np.asarray(from_json(data, allow_inf_nan=False), np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise ParameterError("vector: send a JSON list of numbers.", field=VECTOR) from error
    if vector_D.shape != (width,):
        raise ParameterError(
            f"vector: this index compares lists of {width} numbers.", field=VECTOR, limit=width
        )
    return unit(vector_D)


def read_row_id(data: bytes | None) -> str:
    """A new one where none is sent. Raises ParameterError."""
    if not data:
        return secrets.token_hex(8)
    try:
        row_id = data.decode()
    except UnicodeDecodeError as error:
        raise ParameterError("row: it is not UTF-8.", field=ROW) from error
    if not ROW_ID.fullmatch(row_id):
        raise ParameterError("row: send 1 to 200 characters, no / among them.", field=ROW, value=row_id)
    return row_id


def read_columns(data: bytes | None, about: About) -> dict[str, Cell]:
    """Raises ParameterError."""
    if not data:
        return {}
    try:
        sent = strict_json(data)
    except ValueError as error:
        raise ParameterError(f"columns: it is not JSON: {error}.", field=COLUMNS) from error
    if not isinstance(sent, dict):
        raise ParameterError("columns: send a JSON object, column -> value.", field=COLUMNS)
    for name in sent:
        if name not in about.columns:
            known = ", ".join(about.columns) or "none"
            raise ParameterError(f"columns: the index has no {name[:80]!r}; it has: {known}.", field=COLUMNS)
    return {name: cell_of(name, about.columns[name], value, COLUMNS) for name, value in sent.items()}
