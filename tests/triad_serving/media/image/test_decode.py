"""Images to pixels. References: the array a file was made from, numpy's turns, arithmetic on white."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.hostile.corpus import hostile_images
from triad_serving.contract.errors import DecodeError, TooLargeError, TriadError, UnsupportedFormatError
from triad_serving.media.image.decode import DRAFT_FACTOR, FORMATS, decode_image, fit_image, read_image
from triad_serving.media.image.spec import Fit, ImageSpec
from triad_serving.media.limits import MediaLimits

U8 = npt.NDArray[np.uint8]

LIMITS = MediaLimits()
SPEC = ImageSpec(height=56, width=56)
ORIENTATION = 0x0112

# How a stored image is shown, by EXIF orientation: TIFF 6.0, page 36.
SHOWN: dict[int, Callable[[U8], U8]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def quadrants(height: int = 40, width: int = 60) -> U8:
    """Red, green, blue and grey quarters: every turn and flip of it looks different."""
    pixels_HW3 = np.empty((height, width, 3), dtype=np.uint8)
    top, left = height // 2, width // 2
    pixels_HW3[:top, :left] = (230, 20, 20)
    pixels_HW3[:top, left:] = (20, 230, 20)
    pixels_HW3[top:, :left] = (20, 20, 230)
    pixels_HW3[top:, left:] = (128, 128, 128)
    return pixels_HW3


def saved(image: Image.Image | U8, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, file_format, **options)
    return file.getvalue()


def noise(height: int = 64, width: int = 64) -> U8:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded(data: bytes, spec: ImageSpec = SPEC, limits: MediaLimits = LIMITS) -> U8:
    return decode_image(data, spec, limits).pixels_HW3


@pytest.mark.parametrize(
    ("file_format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 8),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 24),
        ("GIF", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "jpeg"}, 24),
    ],
)
def test_every_format_gives_the_pixels_it_was_made_of(
    file_format: str, options: dict[str, Any], tolerance: int
) -> None:
    expected = quadrants()

    found = decode_image(saved(expected, file_format, **options), SPEC, LIMITS)

    assert found.format == file_format
    assert (found.width, found.height) == (60, 40)
    assert found.pixels_HW3.dtype == np.uint8
    # Lossy formats smear the borders between the quarters.
    inner = np.ones((40, 60), dtype=bool)
    if tolerance:
        inner[16:24] = inner[:, 26:34] = False
    difference = np.abs(found.pixels_HW3.astype(int) - expected)[inner]
    assert difference.max() <= tolerance


def test_the_list_of_formats_is_what_the_service_promises() -> None:
    assert FORMATS == ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read(file_format: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("#204060", "#f0f0f0"))
    options = {"lossless": True} if file_format == "WEBP" else {}

    data = saved(first, file_format, save_all=True, append_images=[second], **options)

    assert np.unique(decoded(data).reshape(-1, 3), axis=0).tolist() == [[0x20, 0x40, 0x60]]


def test_a_phone_picture_of_several_jpegs_in_one_file_is_a_jpeg() -> None:
    """Many phones write MPO: a JPEG with a depth map or a second JPEG behind it."""
    main, extra = Image.fromarray(quadrants(400, 600)), Image.new("RGB", (600, 400))
    data = saved(main, "MPO", save_all=True, append_images=[extra], quality=95)
    assert data[:3] == b"\xff\xd8\xff"

    found = decode_image(data, SPEC, LIMITS)

    assert found.format == "JPEG"
    assert (found.width, found.height) == (600, 400)
    assert found.pixels_HW3.shape == (200, 300, 3)  # decoded at half its size, as any JPEG
    assert np.abs(found.pixels_HW3[10, 10].astype(int) - (230, 20, 20)).max() <= 8


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_an_image_is_turned_as_its_exif_orientation_says(file_format: str, orientation: int) -> None:
    stored = quadrants()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}

    found = decode_image(saved(stored, file_format, exif=exif, **options), SPEC, LIMITS)

    expected = SHOWN[orientation](stored)
    assert found.pixels_HW3.shape == expected.shape
    assert (found.height, found.width) == expected.shape[:2]
    for row, column in ((5, 5), (5, -6), (-6, 5), (-6, -6)):
        assert np.abs(found.pixels_HW3[row, column].astype(int) - expected[row, column]).max() <= 8


def test_the_size_of_a_turned_and_reduced_jpeg_is_that_of_the_image_as_sent() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6

    found = decode_image(saved(quadrants(800, 1200), "JPEG", exif=exif), SPEC, LIMITS)
    fitted = fit_image(found, SPEC)

    assert found.pixels_HW3.shape == (300, 200, 3)
    assert (fitted.width, fitted.height) == (800, 1200)
    assert fitted.region == (0, 0, 800, 1200)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation

    assert np.array_equal(decoded(saved(quadrants(), "PNG", exif=exif)), quadrants())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so, and goes on
def test_exif_that_cannot_be_read_does_not_cost_the_picture() -> None:
    for exif in (b"garbage", b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f"):
        found = decode_image(saved(quadrants(), "JPEG", exif=exif), SPEC, LIMITS)
        assert (found.width, found.height) == (60, 40)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_keep_their_upper_eight(mode: str) -> None:
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    data = ramp.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    image = Image.frombytes(mode, (16, 16), data)

    found = decoded(saved(image, "PNG" if mode == "I;16" else "TIFF"))

    assert np.array_equal(found, np.repeat((ramp >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_sixteen_bit_colour_keeps_its_upper_eight() -> None:
    """Pillow writes none, so the file is put together here: 16 bits each of red, green and blue."""
    rows = b"".join(b"\x00" + bytes((0x12, 0x34, 0x80, 0xFF, 0xFE, 0x00)) * 4 for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )

    assert np.unique(decoded(data).reshape(-1, 3), axis=0).tolist() == [[0x12, 0x80, 0xFE]]


def test_a_sixteen_bit_image_is_turned_too() -> None:
    stored = np.arange(0, 24 * 256, 256, dtype=np.uint16).reshape(4, 6)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = decoded(saved(Image.fromarray(stored), "PNG", exif=exif))

    assert np.array_equal(found[..., 0], np.rot90(stored >> 8, -1))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_unbounded_values_are_stretched_from_their_lowest_to_their_highest(kind: type) -> None:
    values = np.array([[-1000, 0], [500, 1000]], dtype=kind)

    assert decoded(saved(Image.fromarray(values), "TIFF"))[..., 0].tolist() == [[0, 127], [191, 255]]


def test_an_image_of_one_value_of_unbounded_type_is_black() -> None:
    values = np.full((2, 2), 7, dtype=np.float32)

    assert decoded(saved(Image.fromarray(values), "TIFF")).max() == 0


@pytest.mark.parametrize("last", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_numbers_are_refused(monkeypatch: pytest.MonkeyPatch, last: float) -> None:
    """Though they stand in the last of several bands."""
    monkeypatch.setattr("triad_serving.media.image.decode.BAND_PIXELS", 2)
    values = np.array([[0, 1], [1, last]], dtype=np.float32)

    with pytest.raises(DecodeError, match="not finite"):
        decoded(saved(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_a_palette_is_looked_up(file_format: str) -> None:
    image = Image.fromarray(quadrants()).quantize(4)

    assert image.mode == "P"
    assert np.abs(decoded(saved(image, file_format)).astype(int) - quadrants()).max() <= 2


@pytest.mark.parametrize("mode", ["1", "L"])
def test_black_and_white_become_three_equal_channels(mode: str) -> None:
    found = decoded(saved(Image.fromarray(quadrants()).convert("L").convert(mode), "PNG"))

    assert found.shape == (40, 60, 3)
    assert np.array_equal(found[..., 0], found[..., 1])
    assert np.array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_is_turned_into_rgb(file_format: str) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))

    red, green, blue = decoded(saved(cyan, file_format))[8, 8].tolist()

    assert red <= 8
    assert green >= 247
    assert blue >= 247


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_stands_on_white(file_format: str) -> None:
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[:, 0] = (0, 0, 0, 0)
    rgba[:, 1] = (0, 100, 200, 128)
    rgba[:, 2] = (10, 20, 30, 255)
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}

    found = decoded(saved(rgba, file_format, **options))

    alpha = rgba[..., 3:] / 255
    expected = np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha))
    assert np.abs(found - expected).max() <= 1


def test_a_transparent_colour_of_a_palette_stands_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.putpixel((1, 0), 1)

    for file_format in ("PNG", "GIF"):
        data = saved(image, file_format, transparency=0)
        assert decoded(data).tolist() == [[[255, 255, 255], [200, 0, 0]]]


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(DecodeError, match="0 bytes") as caught:
        decoded(b"")
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "data", [b"\x00", b"hello, not an image", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_a_file_that_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match="JPEG, PNG, WEBP, GIF, BMP, TIFF") as caught:
        decoded(data)
    assert caught.value.field == "image"


@pytest.mark.parametrize("file_format", ["ICO", "PPM", "TGA", "PDF", "EPS", "JPEG2000"])
def test_an_image_in_another_format_is_refused(file_format: str) -> None:
    with pytest.raises(UnsupportedFormatError):
        decoded(saved(quadrants(), file_format))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_truncated_image_is_refused(file_format: str, share: float) -> None:
    data = saved(noise(), file_format)

    with pytest.raises(DecodeError, match="cannot be decoded") as caught:
        decoded(data[: int(share * len(data))])
    assert caught.value.field == "image"


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that it meets here; only the outcome counts
def test_a_damaged_image_is_decoded_or_refused_and_nothing_else(file_format: str) -> None:
    data = saved(noise(16, 16), file_format)
    random = np.random.default_rng(1)

    for _ in range(150):
        damaged = bytearray(data)
        for at in random.integers(0, min(len(data), 400), 3):
            damaged[at] = random.integers(0, 256)
        try:
            assert decoded(bytes(damaged)).ndim == 3
        except TriadError as error:
            assert error.status in (413, 415, 422)  # noqa: PT017


def test_an_image_over_the_byte_cap_is_refused_before_it_is_opened() -> None:
    with pytest.raises(TooLargeError, match="11 bytes; at most 10") as caught:
        decoded(b"not a image", limits=MediaLimits(max_image_bytes=10))
    assert (caught.value.field, caught.value.limit, caught.value.value) == ("image", 10, 11)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_image_over_the_pixel_cap_is_refused(file_format: str) -> None:
    data = saved(noise(), file_format)

    assert decoded(data, limits=MediaLimits(max_pixels=64 * 64)).shape == (64, 64, 3)
    with pytest.raises(TooLargeError, match="64 x 64 pixels; at most 4095") as caught:
        decoded(data, limits=MediaLimits(max_pixels=64 * 64 - 1))
    assert (caught.value.field, caught.value.limit, caught.value.value) == ("image", 4095, 4096)


@pytest.mark.parametrize("side", [9_000, 12_000, 20_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_pixel_bomb_is_refused_by_its_header(side: int) -> None:
    """A few bytes that claim a gigabyte. 9000: over our cap; 12000: Pillow warns; 20000: Pillow refuses."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))

    with pytest.raises(TooLargeError, match="pixels") as caught:
        decoded(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 100) + b"IDAT")
    assert caught.value.limit == 64_000_000


@pytest.mark.parametrize(
    ("side", "kept"), [(111, 111), (223, 223), (224, 112), (448, 112), (896, 112), (1800, 225)]
)
def test_a_jpeg_is_decoded_at_the_smallest_of_its_scales_that_suffices(side: int, kept: int) -> None:
    assert DRAFT_FACTOR * SPEC.width == 112

    found = decode_image(saved(Image.new("RGB", (side, side)), "JPEG"), SPEC, LIMITS)

    assert found.pixels_HW3.shape == (kept, kept, 3)
    assert (found.width, found.height) == (side, side)


def test_a_reduced_jpeg_fits_to_nearly_the_same_pixels_as_a_full_decode() -> None:
    smooth = np.asarray(Image.fromarray(noise(8, 8)).resize((1344, 1344), Image.Resampling.BICUBIC))
    data = saved(smooth, "JPEG", quality=95)

    reduced = fit_image(decode_image(data, SPEC, LIMITS), SPEC).pixels_HW3
    full = Image.open(io.BytesIO(data)).resize((56, 56), Image.Resampling.BOX)

    assert np.abs(reduced.astype(int) - np.asarray(full)).mean() < 2


@pytest.mark.parametrize(("height", "width"), [(56, 56), (1, 1), (2000, 3), (17, 301)])
def test_an_image_is_fitted_to_the_size_of_the_spec(height: int, width: int) -> None:
    spec = ImageSpec(height=24, width=40)

    fitted = fit_image(decode_image(saved(noise(height, width), "PNG"), spec, LIMITS), spec)

    assert fitted.pixels_HW3.shape == (24, 40, 3)
    assert fitted.pixels_HW3.dtype == np.uint8
    assert fitted.region == (0, 0, width, height)
    assert (fitted.format, fitted.width, fitted.height) == ("PNG", width, height)


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_reading_at_once_is_decoding_and_then_fitting(file_format: str, orientation: int, fit: Fit) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = saved(quadrants(310, 470), file_format, exif=exif)
    spec = ImageSpec(height=56, width=56, fit=fit)
    at_once, in_turn = read_image(data, spec, LIMITS), fit_image(decode_image(data, spec, LIMITS), spec)
    assert np.array_equal(at_once.pixels_HW3, in_turn.pixels_HW3)
    for name in ("format", "width", "height", "region"):
        assert getattr(at_once, name) == getattr(in_turn, name)


def test_fitting_averages_what_it_shrinks_and_keeps_the_size_that_fits() -> None:
    board = (np.indices((112, 112)).sum(axis=0) % 2 * 255).astype(np.uint8)
    shrunk = fit_image(decode_image(saved(Image.fromarray(board), "PNG"), SPEC, LIMITS), SPEC)
    same = fit_image(decode_image(saved(noise(56, 56), "PNG"), SPEC, LIMITS), SPEC)

    assert np.abs(shrunk.pixels_HW3.astype(int) - 127).max() <= 3
    assert np.array_equal(same.pixels_HW3, noise(56, 56))


def halves(height: int, width: int) -> Image.Image:
    """The left half red, the right half blue."""
    pixels_HW3 = np.zeros((height, width, 3), dtype=np.uint8)
    pixels_HW3[:, : width // 2, 0] = 255
    pixels_HW3[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels_HW3)


@pytest.mark.parametrize(
    ("width", "height", "region", "content"),
    [
        (200, 100, (0, -50, 200, 150), (slice(14, 42), slice(0, 56))),
        (100, 200, (-50, 0, 150, 200), (slice(0, 56), slice(14, 42))),
        (560, 560, (0, 0, 560, 560), (slice(0, 56), slice(0, 56))),
        (28, 14, (0, -7, 28, 21), (slice(14, 42), slice(0, 56))),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_padded_image_keeps_its_proportions_between_bars(
    width: int, height: int, region: tuple[int, ...], content: tuple[slice, slice], file_format: str
) -> None:
    spec = ImageSpec(fit="pad", pad_colour=(0, 255, 0))
    data = saved(halves(height, width), file_format)

    fitted = fit_image(decode_image(data, spec, LIMITS), spec)

    green = (fitted.pixels_HW3 == (0, 255, 0)).all(axis=2)
    inside = np.zeros((56, 56), dtype=bool)
    inside[content] = True
    assert np.array_equal(green, ~inside)
    red_W = fitted.pixels_HW3[28, content[1], 0] > 127
    assert red_W.sum() == len(red_W) // 2
    assert red_W[0]
    assert fitted.region == region


@pytest.mark.parametrize(("width", "height"), [(200, 100), (100, 200), (640, 480), (57, 56), (30, 90)])
@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_the_region_has_the_proportions_of_what_the_graph_reads(width: int, height: int, fit: Fit) -> None:
    """Up to the rounding of its edges; so every cell of attention covers a square of the image as sent."""
    spec = ImageSpec(height=24, width=48, rows=3, columns=6, fit=fit)

    found = fit_image(decode_image(saved(noise(height, width), "PNG"), spec, LIMITS), spec)

    left, top, right, bottom = found.region
    assert (right - left) == pytest.approx(2 * (bottom - top), abs=max(2, 0.05 * width))
    assert abs(left + right - width) <= max(2, width / 24)
    if fit == "crop":
        assert left >= 0
        assert top >= 0
        assert (left == 0 and right == width) or (top == 0 and bottom == height)
    else:
        assert left <= 0
        assert top <= 0
        assert right >= width
        assert bottom >= height
    assert found.pixels_HW3.shape == (24, 48, 3)


def test_an_image_thinner_than_a_pixel_still_shows() -> None:
    spec = ImageSpec(fit="pad", pad_colour=(9, 9, 9))

    found = fit_image(decode_image(saved(np.full((3, 2000, 3), 200, np.uint8), "PNG"), spec, LIMITS), spec)

    assert (found.pixels_HW3[27] == 200).all()
    assert found.region == (0, -81, 2000, 87)  # of a pixel 3 high, 27 above it and 28 below


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_cropped_image_is_its_middle(file_format: str) -> None:
    """Of 800 x 400, the reference keeps 400 x 400 pixels in the middle and shrinks those alone."""
    spec = ImageSpec(fit="crop")
    wide = Image.fromarray(noise(8, 16)).resize((800, 400), Image.Resampling.BICUBIC)

    found = fit_image(decode_image(saved(wide, file_format), spec, LIMITS), spec)

    expected = np.asarray(wide.crop((200, 0, 600, 400)).resize((56, 56), Image.Resampling.BILINEAR))
    assert found.region == (200, 0, 600, 400)
    assert np.abs(found.pixels_HW3.astype(int) - expected).mean() < (2 if file_format == "JPEG" else 0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"pad_colour": (0, 0, 256)}, "within 0 to 255"), ({"height": 0}, "height must be above 0")],
)
def test_an_impossible_spec_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImageSpec(**options)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("JPEG after 150000 bytes of padding", "in more than 100000 pieces"),
        ("JPEG of 200 scans", "The JPEG has 206 scans; at most 50"),
        ("JPEG with 300 KB of EXIF", "EXIF has 3[0-9]+ bytes; at most 262144"),
        ("TIFF with 110000 strips of nothing", "tag 273 has 110000 values; at most 100000"),
    ],
)
def test_what_would_take_long_is_refused_by_its_cause(name: str, said: str) -> None:
    data = next(case.data for case in hostile_images() if case.name == name)

    with pytest.raises(DecodeError, match=said) as caught:
        decoded(data)
    assert caught.value.field == "image"
    assert caught.value.limit


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tags_are_counted_in_every_kind_of_tiff(order: str, big: bool) -> None:
    values = 100_001
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQQ" if big else f"{order}IH", *((8, 0, 16, 1) if big else (8, 1)))
    tag = struct.pack(f"{order}HHQQ" if big else f"{order}HHII", 279, 4, values, 0)

    with pytest.raises(DecodeError, match=f"tag 279 has {values} values"):
        decoded(head + tag + bytes(8))


@pytest.mark.parametrize(
    ("mode", "file_format"), [("I;16", "PNG"), ("F", "TIFF"), ("I", "TIFF"), ("RGBA", "PNG"), ("P", "PNG")]
)
def test_bands_make_the_image_that_it_is_at_once(
    monkeypatch: pytest.MonkeyPatch, mode: str, file_format: str
) -> None:
    alpha = np.dstack([noise(37, 11), noise(37, 11)[..., :1]])
    image = Image.fromarray(alpha, "RGBA").convert("RGBA" if mode == "RGBA" else "L")
    if mode == "P":
        image = image.quantize(9)
    elif mode != "RGBA":
        kinds = {"I;16": np.uint16, "F": np.float32, "I": np.int32}
        image = Image.fromarray(np.asarray(image).astype(kinds[mode]) * 200)
    data = saved(image, file_format, **({"transparency": 3} if mode == "P" else {}))
    at_once = decoded(data)

    monkeypatch.setattr("triad_serving.media.image.decode.BAND_PIXELS", 30)

    assert np.array_equal(decoded(data), at_once)
