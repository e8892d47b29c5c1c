"""An image on a report's page, with the attention on its cells."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from triad_serving.media.image.decode import decode_image
from triad_serving.media.image.schemas import ImageAttention
from triad_serving.media.image.spec import ImageSpec
from triad_training.media.drawing import Cell, data_uri
from triad_training.media.stored import LIMITS

THUMBNAIL = 240  # pixels, longer side


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """width, height: of the image as sent, in pixels, which are the units of its cells."""

    uri: str
    width: int
    height: int
    cells: list[Cell]


def view_image(data: bytes, spec: ImageSpec, section: ImageAttention) -> ImageView:
    decoded = decode_image(data, spec, LIMITS)
    image = Image.fromarray(decoded.pixels_HW3)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    kind = "png" if max(image.size) < THUMBNAIL else "jpeg"
    image.save(file, kind)
    left, top, right, bottom = section.region
    height, width = (bottom - top) / section.rows, (right - left) / section.columns
    most = max(max(row) for row in section.weights) or 1.0
    cells = [
        Cell(x=left + c * width, y=top + r * height, width=width, height=height, weight=weight / most)
        for r, row in enumerate(section.weights)
        for c, weight in enumerate(row)
    ]
    uri = data_uri(f"image/{kind}", file)
    return ImageView(uri=uri, width=decoded.width, height=decoded.height, cells=cells)
