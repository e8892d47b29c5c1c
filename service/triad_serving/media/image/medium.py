"""An image as a medium."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.language import Language
from triad_serving.contract.schema import rounded
from triad_serving.media.figures import Figure, Heat, Picture, Scale
from triad_serving.media.image.decode import FORMATS, DecodedImage, decode_image, fit_image, read_image
from triad_serving.media.image.drawing import Section, draw_cells, picture_of, values_of
from triad_serving.media.image.schemas import ImageAttention, ImageFormat, ImageOcclusion, ImageReport
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.limits import MediaLimits
from triad_serving.media.medium import Examples, GraphInput, Part, RequestPart
from triad_serving.media.padding import Padding

FITTED = {"stretch": "resized", "pad": "resized and padded", "crop": "resized and cropped"}


class ImageMedium:
    """See Medium."""

    name = "image"
    titles: Mapping[Language, str] = {"en": "image", "zh": "图像"}
    request = RequestPart(
        schema={"type": "string", "format": "binary", "description": "An image file."},
        about="Images: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF.",
    )
    examples: Examples | None = Examples(
        report={"format": "PNG", "width": 28, "height": 28},
        attention={
            "rows": 2,
            "columns": 2,
            "region": [0, 0, 28, 28],
            "weights": [[0.1, 0.2], [0.1, 0.07]],
            "rollout": [[0.1, 0.15], [0.1, 0.1]],
        },
        occlusion={
            "rows": 2,
            "columns": 2,
            "region": [0, 0, 28, 28],
            "drops": [[0.02, 0.2], [0.1, -0.01]],
            "weights": [[0.1, 0.2], [0.1, 0.07]],
        },
        share=0.47,
        contribution=0.5,
    )

    def max_bytes(self, limits: MediaLimits) -> int:
        return limits.max_image_bytes

    def parse(self, data: bytes) -> bytes:
        return data

    def open_asset(self, folder: Path, names: Collection[str]) -> None:
        pass

    def decode(self, raw: bytes, spec: ImageSpec, asset: None, limits: MediaLimits) -> DecodedImage:
        return decode_image(raw, spec, limits)

    def fit(self, decoded: DecodedImage, spec: ImageSpec, asset: None) -> ImageInput:
        return fit_image(decoded, spec)

    def read(self, raw: bytes, spec: ImageSpec, asset: None, limits: MediaLimits) -> ImageInput:
        return read_image(raw, spec, limits)

    def inputs(self, spec: ImageSpec) -> tuple[GraphInput, ...]:
        return (GraphInput(name="pixels", type="tensor(uint8)", fixed=(spec.height, spec.width, 3)),)

    def pack(self, items: Sequence[ImageInput], spec: ImageSpec, padding: Padding) -> Feed:
        pixels_NHW3 = np.zeros((padding.count(len(items)), spec.height, spec.width, 3), dtype=np.uint8)
        for n, image in enumerate(items):
            pixels_NHW3[n] = image.pixels_HW3
        return {"pixels": pixels_NHW3}

    def token_count(self, item: ImageInput, spec: ImageSpec) -> int:
        return spec.rows * spec.columns

    def length_class(self, item: ImageInput) -> int:
        return 0

    def blank(self, spec: ImageSpec, asset: None) -> ImageInput:
        pixels_HW3 = np.zeros((spec.height, spec.width, 3), dtype=np.uint8)
        return ImageInput(pixels_HW3=pixels_HW3, format="", width=1, height=1, region=(0, 0, 1, 1))

    def resized(self, item: ImageInput, spec: ImageSpec, *, longest: bool) -> ImageInput:
        return item

    def describe_format(self, spec: ImageSpec, asset: None) -> ImageFormat:
        return ImageFormat(width=spec.width, height=spec.height, formats=list(FORMATS))

    def describe_spec(self, spec: ImageSpec, asset: None) -> str:
        return f"{FITTED[spec.fit]} to {spec.width} x {spec.height} pixels"

    def describe_item(self, item: ImageInput, spec: ImageSpec) -> ImageReport:
        return ImageReport(format=item.format, width=item.width, height=item.height)

    def warnings(self, item: ImageInput, spec: ImageSpec) -> Iterator[str]:
        return iter(())

    def describe_attention(
        self, item: ImageInput, spec: ImageSpec, weights: F32, rollout: F32
    ) -> ImageAttention:
        return ImageAttention(
            rows=spec.rows,
            columns=spec.columns,
            region=item.region,
            weights=_lines(rounded(weights), spec.columns),
            rollout=_lines(rounded(rollout), spec.columns),
        )

    def parts(self, item: ImageInput, spec: ImageSpec, *, most: int) -> Sequence[Part]:
        """Squares of cells, line by line."""
        side = next(
            side for side in range(1, 1 + max(spec.rows, spec.columns))
            if math.ceil(spec.rows / side) * math.ceil(spec.columns / side) <= most
        )  # fmt: skip
        return [
            Part(
                medium=self.name,
                first=top,
                last=min(top + side, spec.rows),
                left=left,
                right=min(left + side, spec.columns),
            )
            for top in range(0, spec.rows, side)
            for left in range(0, spec.columns, side)
        ]

    def hide(self, item: ImageInput, parts: Sequence[Part], spec: ImageSpec) -> ImageInput:
        """Cells get the image's mean colour."""
        pixels_HW3 = item.pixels_HW3.copy()
        mean_3 = item.pixels_HW3.mean(axis=(0, 1)).round().astype(np.uint8)
        high, wide = spec.height / spec.rows, spec.width / spec.columns
        for part in parts:
            rows = slice(round(part.first * high), round(part.last * high))
            columns = slice(round(part.left * wide), round(part.right * wide))
            pixels_HW3[rows, columns] = mean_3
        return dataclasses.replace(item, pixels_HW3=pixels_HW3)

    def weight(self, weights: F32, part: Part, spec: ImageSpec) -> float:
        grid = weights.reshape(spec.rows, spec.columns)
        return float(grid[part.first : part.last, part.left : part.right].sum())

    def describe_occlusion(
        self,
        item: ImageInput,
        spec: ImageSpec,
        parts: Sequence[Part],
        drops: Sequence[float],
        weights: Sequence[float],
    ) -> ImageOcclusion:
        columns = sum(part.first == 0 for part in parts)
        return ImageOcclusion(
            rows=len(parts) // columns,
            columns=columns,
            region=item.region,
            drops=_lines(drops, columns),
            weights=_lines(weights, columns),
        )

    def canvas(self, raw: bytes, spec: ImageSpec, limits: MediaLimits) -> Picture:
        return picture_of(raw, limits)

    def values(self, section: Section) -> list[float]:
        return values_of(section)

    def draw(
        self,
        canvas: Picture,
        section: Section,
        values: Sequence[float],
        *,
        scale: Scale,
        title: str,
    ) -> Heat:
        return draw_cells(section, scale, title)

    def notes(self, canvas: Picture, figures: Sequence[Figure], language: Language) -> Iterator[str]:
        return iter(())


def _lines(values: Sequence[float], columns: int) -> list[list[float]]:
    return [list(values[start : start + columns]) for start in range(0, len(values), columns)]


IMAGE = ImageMedium()
