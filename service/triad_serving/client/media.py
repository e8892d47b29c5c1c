"""What a caller holds of each medium, as the parts of a multipart request.

Shapes: T samples, C channels.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypedDict

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from triad_serving.contract.errors import DecodeError
from triad_serving.media.fields.decode import Fields

Part: TypeAlias = tuple[str | None, bytes, str | None]  # file name, content, content type


class Readable(Protocol):
    def read(self) -> bytes: ...


File: TypeAlias = str | PathLike[str] | bytes | Readable  # a string is a path
ImageSource: TypeAlias = File | Image.Image
AudioSource: TypeAlias = File | tuple[NDArray[Any], int]  # a wave, [T] or [T, C], and its rate in Hz


class Media(TypedDict, total=False):
    """One example; whatever is None or left out is absent.

    A wave is of floats within [-1, 1], or of 16-bit integers; it is sent as 16-bit WAV. Files are read whole.
    """

    text: str | None
    image: ImageSource | None
    audio: AudioSource | None
    fields: Fields | None


def parts_of(media: Mapping[str, Any]) -> dict[str, Part]:
    """media: of `Media`, those that are there.

    Raises DecodeError where a file cannot be read or a wave is none.
    """
    parts: dict[str, Part] = {}
    for name, source in media.items():
        if name == "text":
            parts[name] = (None, source.encode(), None)
        elif name == "fields":
            parts[name] = (None, json.dumps(source, allow_nan=False).encode(), "application/json")
        else:
            parts[name] = _file_part(name, source)
    return parts


def _file_part(name: str, source: ImageSource | AudioSource) -> Part:
    if isinstance(source, Image.Image):
        return _png(source)
    if isinstance(source, tuple):
        return _wav(*source)
    if isinstance(source, bytes):
        return (name, source, "application/octet-stream")
    if isinstance(source, str | PathLike):
        path = Path(source)
        try:
            return (path.name, path.read_bytes(), "application/octet-stream")
        except OSError as error:
            raise DecodeError(f"{path} cannot be read: {error.strerror}.", field=name) from error
    return (name, source.read(), "application/octet-stream")


def _png(image: Image.Image) -> Part:
    file = io.BytesIO()
    image.save(file, "PNG")
    return ("image.png", file.getvalue(), "image/png")


def _wav(wave: NDArray[Any], sample_rate_hz: int) -> Part:
    if wave.dtype != np.int16 and not (np.issubdtype(wave.dtype, np.floating) and np.isfinite(wave).all()):
        raise DecodeError(
            f"A wave has finite floats within [-1, 1] or 16-bit integers, not {wave.dtype}.", field="audio"
        )
    file = io.BytesIO()
    soundfile.write(file, wave, sample_rate_hz, format="WAV", subtype="PCM_16")
    return ("audio.wav", file.getvalue(), "audio/wav")
