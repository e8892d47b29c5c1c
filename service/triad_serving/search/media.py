"""What can be shown of a row: its text, and its picture and sound as they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triad_serving.inference.answer import InputsReport
from triad_serving.media.example import RawInputs
from triad_serving.media.registry import present
from triad_serving.search.store import Medium, Row, Store

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "FLAC": "audio/flac",
    "OGG": "audio/ogg",
    "MP3": "audio/mpeg",
    "MPEG": "audio/mpeg",
    "AIFF": "audio/aiff",
}
PLAIN_TEXT = "text/plain; charset=utf-8"
UNKNOWN = "application/octet-stream"


def media_of(raw: RawInputs, inputs: InputsReport, paths: Mapping[str, str]) -> dict[str, Medium]:
    """inputs: what was understood of them. paths: of those that are files, relative to the index's
    media_root; others are stored themselves.
    """
    media = {}
    for medium, content in present(raw):
        name = medium.name
        if isinstance(content, str):
            media[name] = Medium(type=PLAIN_TEXT, content=content)
        elif isinstance(content, bytes):
            kind = TYPES.get(getattr(inputs, name).format.upper(), UNKNOWN)
            path = paths.get(name)
            media[name] = Medium(type=kind, path=path, content=content if path is None else None)
    return media


def text_of(store: Store, row: Row) -> str | None:
    """The row's text, where it is shown."""
    for name, each in row.media.items():
        if each["type"] == PLAIN_TEXT:
            content = content_of(store, row, name)
            return content if isinstance(content, str) else None
    return None


def content_of(store: Store, row: Row, medium: str) -> str | bytes | Path | None:
    """The text, bytes, or a file within media_root; None where there is none."""
    if store.about.media_root is None or medium not in row.media:
        return None
    relative = row.media[medium].get("path")
    return (
        store.content(row.key, medium)
        if relative is None
        else _within(Path(store.about.media_root), relative)
    )


def _within(root: Path, relative: str) -> Path | None:
    """The file, links followed; None where it is not there or not below the root."""
    root = root.resolve()
    path = (root / relative).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None
