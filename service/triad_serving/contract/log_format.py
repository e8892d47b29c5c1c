"""How the log is written."""

from __future__ import annotations

from enum import StrEnum


class LogFormat(StrEnum):
    LINES = "text"
    JSON = "json"
