"""Decoded files as bytes and back, for the cache; and the name of all that decides what those bytes are."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import soundfile
import soxr

from triad_serving.media.example import PreprocessSpec
from triad_training.media.stored import LIMITS, StoredForm


def decode(form: StoredForm, data: bytes, spec: PreprocessSpec) -> Any:
    """Raises TooLargeError, UnsupportedFormatError, DecodeError."""
    return form.decode(data, spec.of(form.medium))


def stage_of(form: StoredForm, spec: PreprocessSpec) -> str:
    """Name of everything that decides what a file's bytes become: the code, the libraries, the spec."""
    wanted = spec.of(form.medium)
    versions = (PIL.__version__, soundfile.__libsndfile_version__, soxr.__version__, np.__version__)
    facts = (form.name, wanted and dataclasses.asdict(wanted), dataclasses.asdict(LIMITS), versions)
    digest = hashlib.sha256(json.dumps(facts).encode())
    for source in (*form.sources, inspect.getfile(form.decode), __file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:16]


def to_bytes(decoded: Any) -> bytes:
    """The fields of a dataclass as one line of JSON, then its one array."""
    fields = {field.name: getattr(decoded, field.name) for field in dataclasses.fields(decoded)}
    (name,) = (name for name, value in fields.items() if isinstance(value, np.ndarray))
    array = fields.pop(name)
    head = {"name": name, "type": array.dtype.str, "shape": array.shape, "rest": fields}
    return b"\n".join((json.dumps(head).encode(), array.tobytes()))


def from_bytes(data: bytes, kind: type[Any]) -> Any:
    """Of type `kind`; the array is not writable."""
    end = data.index(b"\n")
    head: dict[str, Any] = json.loads(data[:end])
    array = np.frombuffer(data, dtype=head["type"], offset=end + 1).reshape(head["shape"])
    fields: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in head["rest"].items()}
    fields[head["name"]] = array
    return kind(**fields)
