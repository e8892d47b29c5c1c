"""What the views of several media on a report's page are made of."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A part of a drawing, in its units. weight: attention relative to the most attended part."""

    x: float
    y: float
    width: float
    height: float
    weight: float


def data_uri(mime: str, file: io.BytesIO) -> str:
    """A file as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(file.getvalue()).decode()}"
