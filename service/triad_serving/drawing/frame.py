"""What of an image is drawn, and how large."""

from __future__ import annotations

from dataclasses import dataclass

from triad_serving.media.figures import Picture, Region

NARROWEST = 24  # pixels of a drawn image, which an extreme one is stretched to


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is drawn of an image, in its pixels as sent; and how large that is drawn, across x down pixels."""

    left: int
    top: int
    width: int
    height: int
    across: int
    down: int


def frame_of(picture: Picture, region: Region | None, side: int) -> Frame:
    """All of the image and of a region that may reach beyond it, in a square of `side` pixels."""
    left, top, right, bottom = region or (0, 0, picture.width, picture.height)
    left, top = min(left, 0), min(top, 0)
    width, height = max(right, picture.width) - left, max(bottom, picture.height) - top
    scale = side / max(width, height)
    across, down = (max(round(scale * length), NARROWEST) for length in (width, height))
    return Frame(left=left, top=top, width=width, height=height, across=across, down=down)
