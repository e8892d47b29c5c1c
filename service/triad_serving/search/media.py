"""What can be shown of a row: its text, and its picture and sound as they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triad_serving.inference.answer import InputsReport
from triad_serving.media.example import RawInputs
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
UNKNOWN = "application/octet-stream"


def media_of(raw: RawInputs, inputs: InputsReport, paths: Mapping[str, str]) -> dict[str, Medium]:
    """inputs: what was understood of them. paths: of those that are files, relative to the index's
    media_root; others are stored themselves.
    """
    media = {}
    if raw.text is not None:
        media["text"] = Medium(type="text/plain; charset=utf-8", text=raw.text)
    for name, content, report in (("image", raw.image, inputs.image), ("audio", raw.audio, inputs.audio)):
        if content is not None and report is not None:
            kind = TYPES.get(report.format.upper(), UNKNOWN)
            path = paths.get(name)
            media[name] = Medium(type=kind, path=path, content=content if path is None else None)
    return media


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
