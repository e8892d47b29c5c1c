"""How charts tell the media apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MediumStyle:
    """The colours differ in brightness, so that they differ in grey. marker: as matplotlib names it."""

    colour: str
    marker: str
