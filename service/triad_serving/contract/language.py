"""Languages that pictures, pages and the names of media are written in."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]
