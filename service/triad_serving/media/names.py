"""The media that Triad reads, in the order of the contract."""

from __future__ import annotations

from triad_serving.contract.outputs import MediumName

MEDIA: tuple[MediumName, ...] = ("text", "image", "audio")
