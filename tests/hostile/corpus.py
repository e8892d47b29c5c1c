"""Hostile and broken input by name: small, the same every time, made by code.

`valid_*`: one good file of each format that the service promises, the seeds of mutation. `hostile_*`: what
was made to break a decoder, each with the statuses that may answer it.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import soundfile
from PIL import Image

TOO_LARGE, UNSUPPORTED, UNREADABLE = 413, 415, 422
REFUSED = frozenset({TOO_LARGE, UNSUPPORTED, UNREADABLE})
ANY = frozenset({200}) | REFUSED
BOUNDARY = b"XX"
FORM = "multipart/form-data; boundary=XX"


class Case(NamedTuple):
    """The bytes of one medium, and the statuses that may answer them."""

    name: str
    data: bytes
    statuses: frozenset[int]


class Body(NamedTuple):
    """A whole request: its body, its headers, and the statuses that may answer it."""

    name: str
    data: bytes
    headers: dict[str, str]
    statuses: frozenset[int]


def case(name: str, data: bytes, *statuses: int) -> Case:
    return Case(name, data, frozenset(statuses) or ANY)


# Images


def image_bytes(
    file_format: str, mode: str = "RGB", size: tuple[int, int] = (12, 9), **options: Any
) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA").convert(mode) if mode != "I;16" else _sixteen_bits(size)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def _sixteen_bits(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.arange(size[0] * size[1], dtype=np.uint16).reshape(size[::-1]) * 300)


def valid_images() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("P", (9, 9), colour) for colour in (1, 2, 3)]
    return {
        "JPEG": image_bytes("JPEG", exif=exif),
        "JPEG progressive": image_bytes("JPEG", progressive=True),
        "JPEG CMYK": image_bytes("JPEG", "CMYK"),
        "JPEG grey": image_bytes("JPEG", "L"),
        "PNG": image_bytes("PNG"),
        "PNG palette": image_bytes("PNG", "P", transparency=1),
        "PNG alpha": image_bytes("PNG", "RGBA", exif=exif),
        "PNG 16 bits": image_bytes("PNG", "I;16"),
        "PNG 1 bit": image_bytes("PNG", "1"),
        "PNG animated": image_bytes("PNG", save_all=True, append_images=[Image.new("RGB", (12, 9))] * 2),
        "WEBP": image_bytes("WEBP"),
        "WEBP lossless alpha": image_bytes("WEBP", "RGBA", lossless=True, exif=exif),
        "WEBP animated": image_bytes("WEBP", save_all=True, append_images=[Image.new("RGB", (12, 9))] * 2),
        "GIF": image_bytes("GIF", "P"),
        "GIF animated": image_bytes(
            "GIF", "P", save_all=True, append_images=frames, duration=9, comment=b"c"
        ),
        "BMP": image_bytes("BMP"),
        "BMP palette": image_bytes("BMP", "P"),
        "TIFF": image_bytes("TIFF"),
        "TIFF LZW": image_bytes("TIFF", compression="tiff_lzw"),
        "TIFF deflate": image_bytes("TIFF", compression="tiff_adobe_deflate"),
        "TIFF JPEG": image_bytes("TIFF", compression="jpeg"),
        "TIFF CCITT": image_bytes("TIFF", "1", compression="group4"),
        "TIFF 16 bits": image_bytes("TIFF", "I;16"),
        "TIFF float": image_bytes("TIFF", "F"),
        "TIFF CMYK": image_bytes("TIFF", "CMYK"),
    }


def hostile_images() -> Iterator[Case]:
    valid = valid_images()
    for name, data in valid.items():
        yield case(f"{name} as it is", data, 200)
        yield from _broken(name, data)
    for side in (9_000, 12_000, 50_000, 2**31 - 1):
        yield case(f"PNG of {side} x {side} in its header", png(side, side, b""), TOO_LARGE, UNSUPPORTED)
    yield case("GIF of 65535 x 65535", _gif_of(65_535, valid["GIF"]), TOO_LARGE)
    yield case("GIF whose frame is larger than its screen", _gif_of(1, valid["GIF"]))
    yield case("BMP of -50000 x 50000", _bmp_of(-50_000, 50_000, valid["BMP"]), *REFUSED)
    yield case("WEBP of 16384 x 16384", _webp_of(16_383, 16_383), TOO_LARGE)
    yield case("WEBP animation of 7100000 x 9", _canvas_of(7_100_000, 9, valid["WEBP animated"]), TOO_LARGE)
    yield case("PNG 1 x 1", image_bytes("PNG", size=(1, 1)), 200)
    yield case("PNG 1 x 30000", image_bytes("PNG", size=(1, 30_000)), 200)
    yield case("JPEG 30000 x 1", image_bytes("JPEG", size=(30_000, 1)), 200)
    yield case(
        "PNG in 60000 empty chunks", png(4, 4, _rows(4, 4), before=_chunk(b"abCd", b"") * 60_000), UNREADABLE
    )
    yield case("PNG of a zip bomb", png(4, 4, zlib.compress(bytes(10**7))))
    yield case("PNG with a profile of a zip bomb", png(4, 4, _rows(4, 4), before=_profile(10**7)))
    yield case(
        "PNG with 100 tags of 1 MB in its EXIF",
        png(4, 4, _rows(4, 4), before=_chunk(b"eXIf", _tags(100, 2**20))),
    )
    yield case("TIFF of 200 tags that share 1 MB", _tiff(_tag_entries(200, 2**20), 2**20))
    yield case("TIFF of ten times as many rows as it has", _rows_of(90, valid["TIFF 16 bits"]), UNREADABLE)
    yield case("BigTIFF whose tags are far away", b"II+\0\x08\0\0\0" + b"\xff" * 8, UNREADABLE)
    yield case("TIFF whose strip is at a fraction", _strip_at_a_fraction(valid["TIFF float"]), UNREADABLE)
    yield case("TIFF with 110000 strips of nothing", _strips(110_000), UNREADABLE)
    yield case("TIFF with a million fractions in its EXIF", _tiff_with_exif(1_000_000), 200)
    yield case(
        "PNG with 40000 fractions in its EXIF, turned",
        png(4, 4, _rows(4, 4), before=_chunk(b"eXIf", _fractions(40_000))),
        UNREADABLE,
    )
    yield case("TIFF whose directory is its own next", _tiff((), 0, again=True), 200)
    yield case("GIF of 60000 comments", _after_gif_head(valid["GIF"], b"!\xfe\x01c\x00" * 60_000), UNREADABLE)
    yield case(
        "JPEG in 150000 empty segments", _after_soi(valid["JPEG"], b"\xff\xfe\x00\x02" * 150_000), UNREADABLE
    )
    yield case("JPEG after 150000 bytes of padding", _after_soi(valid["JPEG"], b"\xff" * 150_000), UNREADABLE)
    yield case("JPEG of 200 scans", _scans(200), UNREADABLE)
    yield case("JPEG of 45 scans", _scans(39), 200)
    yield case("JPEG with 300 KB of EXIF", _after_soi(valid["JPEG"], _exif_segments(5)))
    yield case("GIF that is also a ZIP", valid["GIF"] + b"PK\x05\x06" + bytes(18), 200)
    yield case(
        "PNG that is also HTML", png(4, 4, _rows(4, 4), before=_chunk(b"tEXt", b"a\0<script>1</script>")), 200
    )
    yield case("PDF that holds a JPEG", b"%PDF-1.7\n" + valid["JPEG"], UNSUPPORTED)
    yield case(
        "SVG",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        UNSUPPORTED,
    )
    yield case(
        "EPS that runs a program",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
        UNSUPPORTED,
    )
    for file_format in ("ICO", "PPM", "TGA", "JPEG2000", "AVIF", "PCX", "SGI"):
        yield case(f"{file_format}, which is not read", image_bytes(file_format), UNSUPPORTED)


def png(width: int, height: int, data: bytes, *, before: bytes = b"", bits: int = 8) -> bytes:
    """before: chunks between header and data. data: of IDAT, compressed."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    tail = _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + before + tail


def _rows(width: int, height: int) -> bytes:
    return zlib.compress(bytes(height * (1 + 3 * width)))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _profile(size: int) -> bytes:
    return _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(size)))


def _gif_of(side: int, gif: bytes) -> bytes:
    return gif[:6] + struct.pack("<HH", side, side) + gif[10:]


def _after_gif_head(gif: bytes, blocks: bytes) -> bytes:
    head = 13 + (3 * (2 << (gif[10] & 7)) if gif[10] & 0x80 else 0)
    return gif[:head] + blocks + gif[head:]


def _bmp_of(width: int, height: int, bmp: bytes) -> bytes:
    return bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]


def _canvas_of(width: int, height: int, webp: bytes) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return webp[:24] + sides + webp[30:]


def _webp_of(width: int, height: int) -> bytes:
    canvas = struct.pack("<I", 0) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    still = image_bytes("WEBP")[12:]
    chunks = b"VP8X" + struct.pack("<I", 10) + canvas + still
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _tag_entries(count: int, size: int) -> tuple[tuple[int, int, int], ...]:
    """Tag, type (bytes), and how many of them."""
    return tuple((40_000 + n, 7, size) for n in range(count))


def _tags(count: int, size: int) -> bytes:
    """A TIFF directory of tags that share their bytes, as EXIF is one."""
    entries = b"".join(struct.pack("<HHII", *entry, 14 + 12 * count) for entry in _tag_entries(count, size))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4) + bytes(size)


def _tiff(
    more: tuple[tuple[int, int, int], ...],
    size: int,
    *,
    again: bool = False,
    shared: int | None = None,
) -> bytes:
    """4 x 4 grey pixels; `more` tags, whose values stand at `shared` or in `size` bytes behind the tags."""
    count = 9 + len(more)
    behind = 8 + 2 + 12 * count + 4
    own = (
        (256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, behind), (277, 3, 1, 1), (278, 4, 1, 4), (279, 4, 1, 16),
    )  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *entry) for entry in own)
    entries += b"".join(struct.pack("<HHII", *entry, shared or behind) for entry in more)
    following = struct.pack("<I", 8 if again else 0)
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + following + bytes(max(size, 16))


def _rows_of(count: int, tiff: bytes) -> bytes:
    """Its tag 257 says so many rows."""
    return tiff.replace(struct.pack("<HHII", 257, 4, 1, 9), struct.pack("<HHII", 257, 4, 1, count))


def _strip_at_a_fraction(tiff: bytes) -> bytes:
    """The type of its tag 273 becomes double instead of long."""
    return tiff.replace(struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 12, 1))


def _strips(count: int) -> bytes:
    """As many rows of one pixel, each a strip of its own, all of them the same byte."""
    behind = 8 + 2 + 12 * 9 + 4
    own = (
        (256, 4, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, count, behind), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, count, behind + 4 * count),
    )  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *entry) for entry in own)
    offsets = struct.pack("<I", 0) * count
    return b"II*\0" + struct.pack("<IH", 8, 9) + entries + bytes(4) + offsets + struct.pack("<I", 1) * count


def _fractions(count: int) -> bytes:
    """EXIF that turns its image a quarter, and has a tag of as many fractions."""
    entries = struct.pack("<HHIHH", 274, 3, 1, 6, 0) + struct.pack("<HHII", 40_000, 5, count, 38)
    return b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4) + struct.pack("<II", 1, 2) * count


def _tiff_with_exif(count: int) -> bytes:
    """Whose directory of EXIF has a tag of as many fractions."""
    fractions = struct.pack("<II", 1, 2) * count
    start = 8 + 2 + 12 * 10 + 4  # of what stands behind the first directory
    tiff = _tiff(((34_665, 4, 1),), 0, shared=start + len(fractions))
    directory = struct.pack("<HHHII", 1, 40_000, 5, count, start) + bytes(4)
    return tiff[:start] + fractions + directory


def _after_soi(jpeg: bytes, segments: bytes) -> bytes:
    return jpeg[:2] + segments + jpeg[2:]


def _exif_segments(count: int) -> bytes:
    return (b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)) * count


def _scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times more."""
    jpeg = image_bytes("JPEG", "L", size=(64, 64), progressive=True)
    start, end = jpeg.rindex(b"\xff\xda"), jpeg.rindex(b"\xff\xd9")
    return jpeg[:end] + jpeg[start:end] * count + jpeg[end:]


# Sounds


def sound_bytes(
    file_format: str,
    subtype: str | None = None,
    *,
    rate_hz: int = 8000,
    channels: int = 1,
    seconds: float = 0.3,
) -> bytes:
    waves_TC = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate_hz), channels))
    file = io.BytesIO()
    soundfile.write(file, waves_TC.astype(np.float32), rate_hz, format=file_format, subtype=subtype)
    return _as_stream_1(file.getvalue()) if file_format == "OGG" else _at_time_0(file.getvalue())


def _at_time_0(sound: bytes) -> bytes:
    """libsndfile writes the time into files of floats. Source: its chunk PEAK: size, version, time."""
    at = sound.find(b"PEAK")
    return sound if at < 0 else sound[: at + 12] + bytes(4) + sound[at + 16 :]


def _as_stream_1(ogg: bytes) -> bytes:
    """libsndfile numbers an OGG's stream at random. Source: RFC 3533, section 6."""
    data, start = bytearray(ogg), 0
    while start < len(data):
        body = start + 27 + data[start + 26]
        end = body + sum(data[start + 27 : body])
        data[start + 14 : start + 18] = struct.pack("<I", 1)
        data[start + 22 : start + 26] = bytes(4)
        data[start + 22 : start + 26] = struct.pack("<I", _checksum(data[start:end]))
        start = end
    return bytes(data)


def _checksum(page: bytearray) -> int:
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder >> 31 else 0)) & 0xFFFFFFFF
    return remainder


def valid_sounds() -> dict[str, bytes]:
    kinds = (
        ("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "GSM610"), ("WAVEX", "PCM_16"), ("RF64", "PCM_16"),
        ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"), ("AIFF", "FLOAT"),
    )  # fmt: skip
    stereo = {"MP3 stereo": sound_bytes("MP3", rate_hz=44_100, channels=2)}
    return {f"{kind} {subtype}": sound_bytes(kind, subtype) for kind, subtype in kinds} | stereo


def hostile_sounds() -> Iterator[Case]:
    valid = valid_sounds()
    for name, data in valid.items():
        yield case(f"{name} as it is", data, 200)
        yield from _broken(name, data)
    wave = bytes(range(256)) * 16
    for claimed in (0, 1, 2**31 - 1, 2**32 - 1):
        yield case(f"WAV that says its data have {claimed} bytes", wav(wave, size=claimed))
    for rate_hz in (0, 1, 999, 192_001, 2**32 - 1):
        yield case(f"WAV of {rate_hz} Hz", wav(wave, rate_hz=rate_hz), UNREADABLE)
        yield case(f"WAV of {rate_hz} Hz, 32 bits", wav(wave, rate_hz=rate_hz, bits=32, kind=3), UNREADABLE)
    for channels in (0, 255, 1025, 65_535):
        yield case(f"WAV of {channels} channels", wav(wave, channels=channels))
    yield case("WAV of 0 bits", wav(wave, bits=0))
    yield case("WAV of an unknown codec", wav(wave, kind=0x1234), *REFUSED)
    yield case("WAV of samples that are no numbers", _float_wav(np.nan), UNREADABLE)
    yield case("WAV of infinite samples", _float_wav(-np.inf), UNREADABLE)
    yield case("WAV of the largest samples", _float_wav(3.4e38))
    yield case("WAV of the smallest samples", _float_wav(1e-45), 200)
    yield case("WAV of silence", wav(bytes(8000)), 200)
    yield case("WAV of one sample", wav(b"\0\1"), UNREADABLE)
    yield case("WAV of a constant", wav(b"\xff\x7f" * 4000), 200)
    yield case("WAV of 2000 chunks before its sound", wav(wave, before=b"junk\0\0\0\0" * 2000), UNREADABLE)
    yield case("WAV with two formats", wav(wave, before=_format(kind=3, bits=64)))
    yield case("AIFF of 2000 chunks before its sound", _aiff_chunks(2000), UNREADABLE)
    yield case("WAV of 300000 chunks after its sound", wav(wave, bits=24) + b"junk\0\0\0\0" * 300_000)
    yield case("FLAC that claims 2^35 samples", _flac_of(2**35, valid["FLAC PCM_16"]))
    yield case("FLAC that claims 0 samples", _flac_of(0, valid["FLAC PCM_16"]))
    yield case("OGG of beginnings of pages", valid["OGG VORBIS"][:2000] + b"OggS" * 100_000, UNREADABLE)
    yield case("OGG of 110000 empty pages", valid["OGG VORBIS"] + _empty_page() * 110_000, UNREADABLE)
    yield case("OGG of chained sounds", valid["OGG VORBIS"] + valid["OGG OPUS"])
    yield case("MP3 with junk between its frames", _with_junk(valid["MP3 stereo"]))
    yield case("MP3 after odd tags", _id3(20_000) + valid["MP3 stereo"], 200)
    yield case(
        "MP3 after tags that claim 256 MB", b"ID3\3\0\0\x7f\x7f\x7f\x7f" + valid["MP3 stereo"], UNSUPPORTED
    )
    yield case("nothing but tags", b"ID3\3\0\0\0\0\0\0" * 10_000, UNSUPPORTED)
    yield case("WAV that is also a ZIP", wav(wave) + b"PK\x05\x06" + bytes(18), 200)
    yield case("RIFF that is a video", b"RIFF\x24\0\0\0AVI LIST" + bytes(64), UNSUPPORTED)
    yield case("a WebM", b"\x1aE\xdf\xa3" + bytes(64), UNSUPPORTED)
    yield case("an M4A", b"\0\0\0\x20ftypM4A " + bytes(64), UNSUPPORTED)
    for file_format, subtype in (("AU", None), ("CAF", None), ("W64", None), ("VOC", None), ("NIST", None)):
        yield case(f"{file_format}, which is not read", sound_bytes(file_format, subtype), UNSUPPORTED)


def wav(
    body: bytes,
    *,
    size: int | None = None,
    rate_hz: int = 8000,
    channels: int = 1,
    bits: int = 16,
    kind: int = 1,
    before: bytes = b"",
) -> bytes:
    """size: what the header says of the body. kind: 1 whole numbers, 3 floats. before: chunks before it."""
    data = struct.pack("<4sI", b"data", len(body) if size is None else size) + body
    chunks = b"WAVE" + _format(kind, channels, rate_hz, bits) + before + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def _format(kind: int = 1, channels: int = 1, rate_hz: int = 8000, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    numbers = (kind, channels, rate_hz, rate_hz * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    return struct.pack("<4sIHHIIHH", b"fmt ", 16, *numbers)


def _float_wav(value: float) -> bytes:
    return wav(np.full(4000, value, dtype="<f4").tobytes(), bits=32, kind=3)


def _aiff_chunks(count: int) -> bytes:
    aiff = sound_bytes("AIFF")
    return aiff[:12] + b"junk\0\0\0\0" * count + aiff[12:]


def _flac_of(samples: int, flac: bytes) -> bytes:
    word = int.from_bytes(flac[18:26], "big") >> 36 << 36 | samples
    return flac[:18] + word.to_bytes(8, "big") + flac[26:]


def _empty_page() -> bytes:
    return b"OggS" + bytes(23)


def _with_junk(mp3: bytes) -> bytes:
    return mp3[:1000] + b"xyz" * 100 + mp3[1000:]


def _id3(frames: int) -> bytes:
    body = b"TXXX\0\0\0\x01\0\0\0" * frames
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + body


def _broken(name: str, data: bytes) -> Iterator[Case]:
    """Nothing of a file, a byte of it, its head, most of it, all of it with a few bits turned, and twice."""
    yield case(f"{name} of no bytes", b"", 200, 400, UNREADABLE)
    for kept in (1, 4, 12, len(data) // 2, len(data) - 1):
        yield case(f"{name}, the first {kept} bytes", data[:kept])
    random = np.random.default_rng(len(data))
    for turn in range(4):
        turned = bytearray(data)
        for at in random.integers(0, len(data), 3):
            turned[at] ^= 1 << int(random.integers(0, 8))
        yield case(f"{name} with bits turned, {turn}", bytes(turned))
    yield case(f"{name} twice", data * 2)


# Texts and fields


def hostile_texts() -> Iterator[Case]:
    good = {
        "NULs": "seven\0\0seven",
        "right-to-left marks": "\u202e\u200fseven\u202c \u2067七\u2069",
        "an emoji of eleven code points": "👨‍👩‍👧‍👦🏳️‍🌈" * 500,
        "10 000 letters without a space": "a" * 10_000,
        "10 000 ideographs without a space": "的一是七" * 2500,
        "10 000 rare ideographs": "".join(chr(0x20000 + n) for n in range(10_000)),
        "10 000 symbols that join words": "a+b-c_d." * 1250,
        "one letter under 9999 marks": "a" + "\u0301\u0316" * 4999,
        "ligatures of 18 letters": "\ufdfa" * 2000,
        "Korean letters": "\u1100\u1161\u11a8" * 3333,
        "noncharacters": "\ufffe\uffff\ufdd0\U0010ffff",
        "a byte order mark": "\ufeffseven",
        "only stop words": "the the of of and 的 的 了",
        "only punctuation": "!?。，" * 100,
        "control characters": "".join(map(chr, range(1, 32))) + "seven",
        "a template": "{{7*7}} ${jndi:ldap://x} <script>alert(1)</script> ' OR 1=1 --",
    }
    for name, text in good.items():
        yield case(name, text.encode(), 200)
    yield case("10 MB without a space", b"a" * 10**7, TOO_LARGE)
    yield case("10 001 letters", b"a" * 10_001, TOO_LARGE)
    yield case("nothing but white space", "\u3000 \n\t".encode(), UNREADABLE)
    yield case("a zero-width space", "\u200b".encode(), 200)
    bad = {
        "half a surrogate pair": b"\xed\xa0\x80",
        "both halves apart": b"\xed\xa0\xbd\xed\xb8\x80",
        "an overlong slash": b"\xc0\xaf",
        "a cut-off character": "七".encode()[:2],
        "UTF-16": "seven".encode("utf-16"),
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "GB18030": "数字七".encode("gb18030"),
    }
    for name, data in bad.items():
        yield case(name, data, UNREADABLE)


def hostile_fields() -> Iterator[Case]:
    """For a model that reads a number `age` and a category `sex`."""
    values = (
        None, True, 0, -0.0, 1e308, -1e308, 10**400, 5e-324, "", "63", "F" * 50_000, "\0", "\u202eF", [],
        [[]], {}, {"age": 1}, [1, 2], "NaN", "null", 2**63, 3.4028235e38, 3.4028236e38,
    )  # fmt: skip
    for value in values:
        for name in ("age", "sex", "nobody", "", "\0", "a" * 1000):
            yield case(f"{name[:9]!r}: {str(value)[:20]!r}", json.dumps({name: value}).encode())
    odd = (
        b"", b"{", b"[]", b"null", b"{}", b'{"age": NaN}', b'{"age": Infinity}', b'{"age": 1e999}',
        b'{"age": 01}', b'{"age": 1, "age": 2}', b"[" * 60_000, b'{"a":' * 9000, rb'{"sex": "\ud800"}',
        rb'{"\udfff": 1}', b'{"age": ' + b"9" * 60_000 + b"}",
        b'\xef\xbb\xbf{"age": 1}', '{"age": 1}'.encode("utf-16"),
        b'{"age": -}', b'{"age": 1}garbage', b"{'age': 1}", b"{\"sex\": \"F\x01\"}",
    )  # fmt: skip
    for data in odd:
        yield case(f"{data[:20]!r}", data)


# Requests


def part(name: str, content: bytes, *, file_name: str | None = None, kind: str = "") -> bytes:
    """One part of a multipart body, boundary included."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    disposition += f'; filename="{file_name}"' if file_name is not None else ""
    disposition += f"\r\nContent-Type: {kind}" if kind else ""
    return b"--" + BOUNDARY + b"\r\n" + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def hostile_bodies() -> Iterator[Body]:
    def body(name: str, data: bytes, *statuses: int, content_type: str = FORM, **headers: str) -> Body:
        more = {key.replace("_", "-"): value for key, value in headers.items()}
        return Body(name, data, {"Content-Type": content_type, **more}, frozenset(statuses))

    seven = part("text", b"seven")
    inner = form(part("text", b"seven")).replace(b"XX", b"YY")
    png_file, wav_file = image_bytes("PNG"), wav(bytes(range(256)) * 16)
    yield body("a good one", form(seven), 200)
    yield body("no boundary named", form(seven), 400, content_type="multipart/form-data")
    yield body("an empty boundary", form(seven), 400, content_type="multipart/form-data; boundary=")
    yield body(
        "a boundary of 71 characters",
        form(seven),
        400,
        content_type="multipart/form-data; boundary=" + "X" * 71,
    )
    yield body(
        "a boundary of white space", form(seven), 400, content_type='multipart/form-data; boundary="  "'
    )
    yield body(
        "another boundary than it says", form(seven), 400, content_type="multipart/form-data; boundary=YY"
    )
    yield body("10 000 parts", form(*(part(f"part{n}", b"x") for n in range(10_000))), 400)
    yield body("10 000 parts of no content", form(*[part("text", b"")] * 10_000), 400)
    yield body("nested", form(part("text", inner, kind="multipart/mixed; boundary=YY")), 200)
    yield body("a field twice", form(seven, seven), 400)
    yield body("no final boundary", form(seven)[:-8], 400)
    yield body("half a final boundary", form(seven)[:-4], 400)
    yield body("nothing", b"", 400)
    yield body("only the end", form(), 400)
    yield body("a name of 3 KB", form(part("t" * 3000, b"x")), 400)
    yield body("a name of 5 KB", form(part("t" * 5000, b"x")), 400)
    yield body("names of no UTF-8", form(seven.replace(b'"text"', b'"\xff\xfe"')), 400)
    yield body("a file name that climbs", form(part("image", png_file, file_name="../../etc/passwd")), 200)
    yield body("a file name with a NUL", form(part("image", png_file, file_name="a\0.png")), 200, 400)
    yield body(
        "a part of nine headers", form(seven.replace(b"\r\n\r\n", b"\r\nA: b" * 9 + b"\r\n\r\n", 1)), 400
    )
    yield body("a header without an end", b"--XX\r\n" + b"A" * 100_000, 400)
    yield body("carriage returns", form(part("image", b"\r" * 100_000)), 415)
    yield body("half boundaries", form(part("image", b"\r\n--X" * 20_000)), 415)
    yield body("line feeds alone", form(seven).replace(b"\r\n", b"\n"), 400)
    yield body("100 KB behind the end", form(seven) + b"x" * 60_000, 200)
    yield body("JSON", b"{}", 415, content_type="application/json")
    yield body(
        "a form that is not multipart", b"text=seven", 415, content_type="application/x-www-form-urlencoded"
    )
    yield body(
        "a content type of 10 KB", form(seven), 400, 415, content_type="multipart/form-data; " + "x" * 10_000
    )
    yield body(
        "a picture that says it is a sound",
        form(part("image", png_file, file_name="a.wav", kind="audio/wav")),
        200,
    )
    yield body(
        "a sound that says it is a picture",
        form(part("audio", wav_file, file_name="a.png", kind="image/png")),
        200,
    )
    yield body(
        "a picture where a sound belongs",
        form(part("audio", png_file, file_name="a.wav", kind="audio/wav")),
        415,
    )
    yield body(
        "a sound where a picture belongs",
        form(part("image", wav_file, file_name="a.png", kind="image/png")),
        415,
    )
    yield body(
        "a program", form(part("image", b"\x7fELF" + bytes(200), file_name="a.png", kind="image/png")), 415
    )
    yield body("a length of 5000 digits", form(seven), 413, Content_Length="9" * 5000)
    yield body("a length that is none", form(seven), 200, 400, Content_Length="-1")
    yield body("a length of a gigabyte", form(seven), 413, Content_Length=str(10**9))
    yield body("an id with a line break", form(seven), 200, X_Request_ID="a\tb")
    yield body("1000 headers", form(seven), 200, **{f"X_{n}": "a" for n in range(1000)})
    yield body("a parameter of 10 KB", form(seven), 200, Accept="a" * 10_000)
