"""Images: bytes to RGB pixels, then to the size the graph reads.

`decode_image` then `fit_image`, and training augments between the two; or both at once by `read_image`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from triad_serving.contract.arrays import U8
from triad_serving.contract.errors import DecodeError, TooLargeError, UnsupportedFormatError
from triad_serving.media.figures import Region
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.limits import MediaLimits

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
PILLOW_NAMES = {"MPO": "JPEG"}  # phones append a depth map or a second JPEG to the first

# A JPEG is decoded at the smallest of its own scales (1, 1/2, 1/4, 1/8) that keeps this many times the
# spec's size: a 12-megapixel photograph costs a quarter of a full decode.
DRAFT_FACTOR = 2
REDUCING_GAP = 3.0  # Pillow's, from which on it is "indistinguishable" from one step

# Of what Pillow reads piece by piece in Python, 20 MB of the smallest pieces took 10 to 24 s. A PNG of 20 MB
# with chunks of 1 KB, which is small, is read in 80 000.
MAX_READS = 100_000
# Every scan of a JPEG goes over the whole image: 0.1 s for 64 megapixels, and 95 bytes are enough for one.
MAX_SCANS = 50  # encoders make 10
START_OF_SCAN = b"\xff\xda"
# Pillow makes a Python object of each value: 18 MB of EXIF took it 69 s, a TIFF of a million strips 6 s.
MAX_EXIF_BYTES = 256 * 1024  # a JPEG usually has one block, of 64 KB at most
MAX_TAG_VALUES = 100_000
BYTE_TYPES = (1, 2, 6, 7)  # of TIFF tags, whose values stay bytes
# The format's own, but for an animation's canvas: of one of 7 100 000 x 9 pixels Pillow copied rows for 18 s.
MAX_WEBP_SIDE = 16_383
BAND_PIXELS = 2**20  # converted at a time: at once, 64 megapixels with alpha took 1.2 GB

# What decoding raises on broken files; the last ones where a TIFF's tag has not the type that Pillow expects.
BROKEN = (
    *(OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error, zlib.error),
    *(TypeError, AttributeError, ArithmeticError, AssertionError, RuntimeError),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedImage:
    """pixels_HW3: RGB, upright, on white where transparent, maybe a reduced size.

    width, height: of the image as sent, upright, in pixels.
    """

    pixels_HW3: U8
    format: str
    width: int
    height: int


class _Source(io.BytesIO):
    """A file that Pillow may read so many times only."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:  # no error of Pillow's own, which it would take for another format's
            raise DecodeError(
                f"The image is in more than {MAX_READS} pieces.", field="image", limit=MAX_READS
            )
        return super().read(size)


class _Upright(NamedTuple):
    """What DecodedImage holds, still as Pillow's own."""

    image: Image.Image
    format: str
    width: int
    height: int


def read_image(data: bytes, spec: ImageSpec, limits: MediaLimits) -> ImageInput:
    """An image file as the graph reads it; raises as decode_image does.

    What decode_image and fit_image do one after the other, without the copies between: in 0.85 of the time.
    """
    return _fit(_decode(data, spec, limits), spec)


def decode_image(data: bytes, spec: ImageSpec, limits: MediaLimits) -> DecodedImage:
    """First frame of an image file, decoded completely: nothing can fail later.

    Raises TooLargeError (bytes, pixels), UnsupportedFormatError, DecodeError (empty, truncated, broken).
    """
    image, file_format, width, height = _decode(data, spec, limits)
    return DecodedImage(pixels_HW3=np.asarray(image), format=file_format, width=width, height=height)


def fit_image(decoded: DecodedImage, spec: ImageSpec) -> ImageInput:
    """Brought to the spec's size as spec.fit says (Pillow's bilinear, which averages when it shrinks)."""
    image = Image.fromarray(decoded.pixels_HW3)
    return _fit(_Upright(image, decoded.format, decoded.width, decoded.height), spec)


def _decode(data: bytes, spec: ImageSpec, limits: MediaLimits) -> _Upright:
    if len(data) > limits.max_image_bytes:
        raise TooLargeError(
            f"The image has {len(data)} bytes; at most {limits.max_image_bytes} are read.",
            field="image",
            limit=limits.max_image_bytes,
            value=len(data),
        )
    if not data:
        raise DecodeError("The image is empty (0 bytes).", field="image")
    try:
        _refuse_long_tags(data)
        with Image.open(_Source(data), formats=FORMATS) as image:
            _bound_metadata(image)
            if image.format in ("JPEG", "MPO"):
                _refuse_scans(data)
            return _decode_opened(image, spec, limits)
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        raise UnsupportedFormatError(
            f"Not an image in a format that is read ({known}).", field="image"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(
            f"The image has more than {limits.max_pixels} pixels.", field="image", limit=limits.max_pixels
        ) from error
    except BROKEN as error:
        raise DecodeError(f"The image cannot be decoded: {error}.", field="image") from error


def _fit(upright: _Upright, spec: ImageSpec) -> ImageInput:
    image, file_format, width, height = upright
    size, region = (spec.width, spec.height), (0, 0, width, height)
    match spec.fit:
        case "stretch":
            fitted = _resized(image, size)
        case "crop":
            region = _middle(upright, spec)
            across, down = image.width / width, image.height / height
            left, top, right, bottom = region
            fitted = _resized(image, size, (left * across, top * down, right * across, bottom * down))
        case "pad":
            fitted, region = _padded(upright, spec)
    return ImageInput(
        pixels_HW3=np.asarray(fitted), format=file_format, width=width, height=height, region=region
    )


def _resized(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=REDUCING_GAP)


def _middle(upright: _Upright, spec: ImageSpec) -> Region:
    """The largest box of the spec's proportions, in whole pixels of the image as sent."""
    scale = min(upright.width / spec.width, upright.height / spec.height)
    width, height = max(round(scale * spec.width), 1), max(round(scale * spec.height), 1)
    left, top = (upright.width - width) // 2, (upright.height - height) // 2
    return left, top, left + width, top + height


def _padded(upright: _Upright, spec: ImageSpec) -> tuple[Image.Image, Region]:
    """The whole image in the middle of the spec's size, and where that lies in the image as sent."""
    scale = max(upright.width / spec.width, upright.height / spec.height)  # pixels as sent per fitted one
    width, height = max(round(upright.width / scale), 1), max(round(upright.height / scale), 1)
    left, top = (spec.width - width) // 2, (spec.height - height) // 2
    fitted = Image.new("RGB", (spec.width, spec.height), spec.pad_colour)
    fitted.paste(_resized(upright.image, (width, height)), (left, top))
    across, down = upright.width / width, upright.height / height
    region = (
        round(-left * across),
        round(-top * down),
        round((spec.width - left) * across),
        round((spec.height - top) * down),
    )
    return fitted, region


def _decode_opened(image: Image.Image, spec: ImageSpec, limits: MediaLimits) -> _Upright:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise TooLargeError(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels} are read.",
            field="image",
            limit=limits.max_pixels,
            value=width * height,
        )
    file_format = PILLOW_NAMES.get(str(image.format), str(image.format))
    if file_format == "WEBP" and max(width, height) > MAX_WEBP_SIDE:
        raise TooLargeError(
            f"The WebP has {width} x {height} pixels; a side of at most {MAX_WEBP_SIDE} is read.",
            field="image",
            limit=MAX_WEBP_SIDE,
            value=max(width, height),
        )
    if file_format == "TIFF":
        _refuse_missing_strips(image)
    if file_format == "JPEG":
        image.draft("RGB", (DRAFT_FACTOR * spec.width, DRAFT_FACTOR * spec.height))
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8):  # a quarter turn
        width, height = height, width
    ImageOps.exif_transpose(image, in_place=True)
    return _Upright(_to_rgb(image), file_format, width, height)


def _refuse_long_tags(data: bytes) -> None:
    """Of a TIFF's first directory. Source: TIFF 6.0, section 2; BigTIFF. Raises DecodeError, struct.error."""
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return
    order, big = "<" if data[:2] == b"II" else ">", b"+" in data[2:4]
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (tags,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
    entry = struct.Struct(order + ("HHQ8x" if big else "HHI4x"))
    for n in range(min(tags, 2**16)):
        at = offset + (8 if big else 2) + n * entry.size
        tag, kind, values = entry.unpack_from(data, at)
        if values > MAX_TAG_VALUES and kind not in BYTE_TYPES:
            raise DecodeError(
                f"The TIFF's tag {tag} has {values} values; at most {MAX_TAG_VALUES} are read.",
                field="image",
                limit=MAX_TAG_VALUES,
                value=values,
            )


def _bound_metadata(image: Image.Image) -> None:
    """Of what a file says of itself, only its orientation is needed; a TIFF's other EXIF is left unread."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        exif, orientation = Image.Exif(), image.tag_v2.get(ExifTags.Base.Orientation)
        if orientation in range(2, 9):
            exif[ExifTags.Base.Orientation] = orientation
        image.info["exif"] = exif.tobytes() if len(exif) else b""
    size = max(len(image.info.get(name, b"")) for name in ("exif", "Raw profile type exif"))
    if size > MAX_EXIF_BYTES:
        raise DecodeError(
            f"The image's EXIF has {size} bytes; at most {MAX_EXIF_BYTES} are read.",
            field="image",
            limit=MAX_EXIF_BYTES,
            value=size,
        )


def _refuse_missing_strips(image: Image.Image) -> None:
    """Pillow would leave black what no strip or tile of a TIFF covers. Raises ValueError."""
    assert isinstance(image, ImageFile.ImageFile)
    corners = (tile.extents for tile in image.tile if tile.extents)
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in corners)
    if covered < image.width * image.height:
        raise ValueError("some of its strips are missing")


def _refuse_scans(data: bytes) -> None:
    scans = data.count(START_OF_SCAN)
    if scans > MAX_SCANS:
        raise DecodeError(
            f"The JPEG has {scans} scans; at most {MAX_SCANS} are read.",
            field="image",
            limit=MAX_SCANS,
            value=scans,
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _in_bands(image, _upper_bits)
    if image.mode in ("I", "F"):
        low, high = np.ravel(image.getextrema()).astype(np.float64)
        _require_finite(low, high)
        return _in_bands(image, lambda band: _stretched(band, low, max(high - low, 1e-12)))
    if image.has_transparency_data:
        return _in_bands(image, _on_white)
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Rows of it one after another, so that what a conversion needs besides stays small."""
    width, height = image.size
    rows = max(BAND_PIXELS // width, 1)
    if rows >= height:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        rgb.paste(convert(image.crop(box)), box)
    return rgb


def _upper_bits(band: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(band) >> 8).astype(np.uint8)).convert("RGB")


def _stretched(band: Image.Image, low: float, span: float) -> Image.Image:
    """From black at `low` to white, `span` above it."""
    values = np.asarray(band)
    _require_finite(values)  # getextrema passes over a NaN
    return Image.fromarray(((values.astype(np.float64) - low) / span * 255).astype(np.uint8)).convert("RGB")


def _require_finite(*values: npt.ArrayLike) -> None:
    if not all(np.isfinite(each).all() for each in values):
        raise ValueError("its pixels are not finite numbers")


def _on_white(band: Image.Image) -> Image.Image:
    rgba = band.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
