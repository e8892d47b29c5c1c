"""The multipart body: what counts as a part, what is refused, and how early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triad_serving.contract.errors import (
    DecodeError,
    MalformedRequestError,
    OverloadedError,
    RequestError,
    TooLargeError,
    TriadError,
    UnsupportedFormatError,
)
from triad_serving.http.multipart import FRAME_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, Upload, UploadBudget
from triad_serving.media.example import RawInputs
from triad_serving.media.fields.decode import MAX_BYTES
from triad_serving.media.limits import MediaLimits

TYPE = "multipart/form-data; boundary=XX"
LIMITS = MediaLimits(max_characters=10, max_image_bytes=100, max_audio_bytes=200)
AMPLE = 10**6


def part(name: str, content: bytes, *, file_name: str | None = None, more: bytes = b"") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        disposition += f'; filename="{file_name}"'
    return b"--XX\r\n" + disposition.encode() + b"\r\n" + more + b"\r\n" + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--XX--\r\n"


def read(
    data: bytes,
    *,
    content_type: str | None = TYPE,
    content_length: str | None = None,
    budget: UploadBudget | None = None,
    step: int | None = None,
) -> RawInputs:
    """step: bytes per chunk."""

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(data), step or len(data) or 1):
            yield data[start : start + (step or len(data))]

    async def go() -> RawInputs:
        with Upload(LIMITS, budget or UploadBudget(AMPLE)) as upload:
            return await upload.read(content_type, content_length, stream())

    return asyncio.run(go())


FULL = body(
    part("text", "数字七".encode()),
    part("image", b"\x89PNG\r\n--X\r\n--XY", file_name="a.png", more=b"Content-Type: image/png\r\n"),
    part("audio", b"RIFF\r\n", file_name="a.wav"),
)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, None])
def test_three_parts_arrive_whole_however_the_body_is_cut_into_chunks(step: int | None) -> None:
    assert read(FULL, step=step) == RawInputs(
        text="数字七", image=b"\x89PNG\r\n--X\r\n--XY", audio=b"RIFF\r\n"
    )


@given(content=st.binary(max_size=90), step=st.integers(min_value=1, max_value=40))
@settings(max_examples=50, deadline=None)
def test_any_bytes_come_through(content: bytes, step: int) -> None:
    if b"\r\n--XX" in b"\r\n" + content:
        return
    assert read(body(part("image", content, file_name="")), step=step).image == (content or None)


@given(cut=st.integers(min_value=0, max_value=FULL.rindex(b"--XX--") + 5))
@settings(max_examples=100, deadline=None)
def test_a_body_cut_anywhere_is_never_an_answer(cut: int) -> None:
    with pytest.raises(MalformedRequestError):
        read(FULL[:cut])


@given(noise=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused_in_our_words(noise: bytes) -> None:
    with pytest.raises(RequestError):
        read(noise)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (body(part("text", b"seven")), RawInputs(text="seven")),
        (body(part("text", b"seven", file_name="t.txt")), RawInputs(text="seven")),
        (body(part("image", b"GIF")), RawInputs(image=b"GIF")),
        (body(part("text", b"")), RawInputs()),
        (body(part("text", b"seven"), part("image", b"", file_name="")), RawInputs(text="seven")),
        (body(part("audio", b"")), RawInputs()),
        (b"--XX--\r\n", RawInputs()),
        (body(part("text", b"a")) + b"epilogue", RawInputs(text="a")),
        (b"\r\n" + body(part("text", b"a")), RawInputs(text="a")),
    ],
)
def test_what_counts_as_sent(data: bytes, expected: RawInputs) -> None:
    assert read(data) == expected


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", MalformedRequestError, "final boundary is missing"),
        (FULL[:-4], MalformedRequestError, "final boundary is missing"),
        (b"--YY\r\n\r\n", MalformedRequestError, "malformed"),
        (body(part("text", b"a"), part("text", b"b")), MalformedRequestError, "Two parts are named 'text'"),
        (
            body(part("video", b"a")),
            MalformedRequestError,
            "Unknown part 'video'; parts are text, image, audio",
        ),
        (b"--XX\r\nA: b\r\n\r\nx\r\n--XX--\r\n", MalformedRequestError, "has no name"),
        (b"--XX\r\n\r\nx\r\n--XX--\r\n", MalformedRequestError, "has no name"),
        (body(part("text", b"", file_name="empty.txt")), DecodeError, "text file is empty"),
        (body(part("image", b"", file_name="empty.png")), DecodeError, "image file is empty"),
        (body(part("text", "七".encode("gb18030"))), DecodeError, "not UTF-8"),
        (body(part("text", b"a" * 41)), TooLargeError, "text has more than 40 bytes"),
        (body(part("image", b"a" * 101)), TooLargeError, "image has more than 100 bytes"),
        (body(part("audio", b"a" * 201)), TooLargeError, "audio has more than 200 bytes"),
        (body(part("text", b"a", more=b"A: b\r\n" * MAX_HEADERS)), MalformedRequestError, "header count"),
        (
            body(part("text", b"a", more=b"A: " + b"b" * MAX_HEADER_BYTES + b"\r\n")),
            MalformedRequestError,
            "header size",
        ),
    ],
)
def test_what_is_refused(data: bytes, error: type[TriadError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(data)


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        (None, UnsupportedFormatError),
        ("application/json", UnsupportedFormatError),
        ("application/x-www-form-urlencoded", UnsupportedFormatError),
        ("multipart/mixed; boundary=XX", UnsupportedFormatError),
        ("multipart/form-data", MalformedRequestError),
        ("multipart/form-data; boundary=", MalformedRequestError),
        ("multipart/form-data; boundary=" + "X" * 71, MalformedRequestError),
    ],
)
def test_another_content_type_is_refused(content_type: str | None, error: type[TriadError]) -> None:
    with pytest.raises(error):
        read(FULL, content_type=content_type)


@pytest.mark.parametrize(
    "content_type", ['multipart/form-data; boundary="XX"', "Multipart/Form-Data; boundary=XX"]
)
def test_the_content_type_is_read_as_http_means_it(content_type: str) -> None:
    assert read(FULL, content_type=content_type).text == "数字七"


def test_a_part_over_its_cap_is_refused_before_the_rest_is_read() -> None:
    read_chunks = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read_chunks
        yield b'--XX\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
        while True:
            read_chunks += 1
            yield b"a" * 10

    async def go() -> None:
        with Upload(LIMITS, UploadBudget(AMPLE)) as upload:
            await upload.read(TYPE, None, endless())

    with pytest.raises(TooLargeError):
        asyncio.run(go())
    assert read_chunks == 11


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_all_caps_is_refused(announced: bool) -> None:
    cap = 40 + 100 + 200 + MAX_BYTES + FRAME_BYTES
    data = body(part("text", b"a")) + b"e" * cap
    with pytest.raises(TooLargeError, match=f"at most {cap}"):
        read(data if not announced else b"", content_length=str(len(data)) if announced else None, step=4096)


def test_all_requests_together_hold_a_bounded_number_of_bytes() -> None:
    data = body(part("image", b"a" * 50))
    budget = UploadBudget(len(data) + 10)

    async def stream() -> AsyncIterator[bytes]:
        yield data

    async def go() -> None:
        with Upload(LIMITS, budget) as first, Upload(LIMITS, budget) as second:
            await first.read(TYPE, None, stream())
            with pytest.raises(OverloadedError):
                await second.read(TYPE, None, stream())
        with Upload(LIMITS, budget) as third:  # given back by both
            assert await third.read(TYPE, None, stream()) == RawInputs(image=b"a" * 50)

    asyncio.run(go())


def test_a_refused_request_gives_its_bytes_back() -> None:
    budget = UploadBudget(1000)
    for data in repeated(body(part("video", b"a" * 400)), 5):
        with pytest.raises(MalformedRequestError):
            read(data, budget=budget)


def repeated(data: bytes, times: int) -> Iterator[bytes]:
    for _ in range(times):
        yield data
