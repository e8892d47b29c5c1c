from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.serving.bodies import multipart_request, tensor_request, write_requests
from triad_serving.http.multipart import Upload, UploadBudget
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits

WHOLE = RawInputs(text="七 seven", image=b"\xff\xd8 not \r\n a photo", audio=b"RIFF--\r\n")


def split(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """First line, headers, body."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", maxsplit=1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return first, headers, body


@pytest.mark.parametrize("raw", [WHOLE, RawInputs(text="七")], ids=["all media", "text alone"])
def test_the_service_reads_from_a_multipart_request_what_went_in(raw: RawInputs) -> None:
    first, headers, body = split(multipart_request(raw, "/v1/predict"))

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async def read() -> RawInputs:
        with Upload(MediaLimits(), UploadBudget(10**6)) as upload:
            return await upload.read(headers["Content-Type"], headers["Content-Length"], chunks())

    assert first == "POST /v1/predict HTTP/1.1"
    assert asyncio.run(read()) == raw


def test_a_tensor_request_holds_each_medium_behind_its_length() -> None:
    first, headers, body = split(tensor_request(WHOLE, "/v2/models/triad/infer"))
    assert first == "POST /v2/models/triad/infer HTTP/1.1"
    size = int(headers["Inference-Header-Content-Length"])
    head, tensors = json.loads(body[:size]), body[size:]
    expected = {"text": "七 seven".encode(), "image": WHOLE.image, "audio": WHOLE.audio}
    for described in head["inputs"]:
        length = described["parameters"]["binary_data_size"]
        tensor, tensors = tensors[:length], tensors[length:]
        assert int.from_bytes(tensor[:4], "little") == length - 4
        assert tensor[4:] == expected[described["name"]]
    assert tensors == b""


def test_an_absent_medium_is_an_empty_tensor() -> None:
    _, headers, body = split(tensor_request(RawInputs(text="七"), "/"))
    size = int(headers["Inference-Header-Content-Length"])
    sizes = {i["name"]: i["parameters"]["binary_data_size"] for i in json.loads(body[:size])["inputs"]}
    assert sizes == {"text": 4 + len("七".encode()), "image": 4, "audio": 4}


def test_requests_are_written_one_file_each_in_order(tmp_path: Path) -> None:
    paths = write_requests(tmp_path / "requests", [b"first", b"second"])
    assert [path.read_bytes() for path in paths] == [b"first", b"second"]
    assert paths == sorted(paths)
