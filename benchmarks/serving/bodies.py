"""Requests as the bytes that go through the socket: the load generator sends them as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from triad_serving.media.example import RawInputs

BOUNDARY = "benchmark-boundary-7f3a9c"
FILES = {"image": ("photo.jpg", "image/jpeg"), "audio": ("sound.wav", "audio/wav")}

Encode: TypeAlias = Callable[[RawInputs, str], bytes]


def multipart_request(raw: RawInputs, path: str) -> bytes:
    """Source: RFC 7578."""
    parts: list[bytes] = []
    if raw.text is not None:
        parts.append(_part('name="text"', raw.text.encode()))
    for name, (file_name, kind) in FILES.items():
        if (data := getattr(raw, name)) is not None:
            head = f'name="{name}"; filename="{file_name}"\r\nContent-Type: {kind}'
            parts.append(_part(head, data))
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return _request(path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def batch_request(examples: Sequence[RawInputs], path: str) -> bytes:
    """Many rows in one request: JSON Lines that name the parts which hold their files."""
    rows, files = [], []
    for n, raw in enumerate(examples):
        row = {"text": raw.text} if raw.text is not None else {}
        for name, (file_name, kind) in FILES.items():
            if (data := getattr(raw, name)) is not None:
                row[name] = f"{name}-{n}"
                head = f'name="{row[name]}"; filename="{file_name}"\r\nContent-Type: {kind}'
                files.append(_part(head, data))
        rows.append(json.dumps(row, ensure_ascii=False))
    body = _part('name="rows"', "\n".join(rows).encode()) + b"".join(files) + f"--{BOUNDARY}--\r\n".encode()
    return _request(path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def tensor_request(raw: RawInputs, path: str) -> bytes:
    """One BYTES tensor per medium, empty where absent; the answer likewise.

    Source: Open Inference Protocol (KServe V2), extension for binary tensors.
    """
    media = {"text": (raw.text or "").encode(), "image": raw.image or b"", "audio": raw.audio or b""}
    tensors = {name: len(data).to_bytes(4, "little") + data for name, data in media.items()}
    inputs = [
        {
            "name": name,
            "shape": [1, 1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(tensor)},
        }
        for name, tensor in tensors.items()
    ]
    outputs = [{"name": "answer", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return _request(path, head + b"".join(tensors.values()), headers)


def write_requests(folder: Path, requests: Sequence[bytes]) -> list[Path]:
    """One file each."""
    folder.mkdir(parents=True)
    paths = [folder / f"{n:02d}.http" for n in range(len(requests))]
    for path, request in zip(paths, requests, strict=True):
        path.write_bytes(request)
    return paths


def _part(disposition: str, data: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def _request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body
