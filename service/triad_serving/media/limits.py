"""Caps on what is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """The defaults are the service's."""

    max_characters: int = 10_000
    max_image_bytes: int = 20 * 2**20
    max_pixels: int = 64_000_000
    max_audio_bytes: int = 50 * 2**20
    max_audio_s: float = 600.0
