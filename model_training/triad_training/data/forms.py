"""Forms in which training keeps the files of a table once they are decoded.

image    as the graph reads it
picture  as augmentation needs it: before fitting, reduced by a whole factor where it is large
audio    as the graph reads it
sound    as augmentation needs it: at the graph's rate
noise    a recording to mix into sounds: likewise, of any length
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

import numpy as np
import PIL
import soundfile
import soxr
from PIL import Image

import triad_serving.media.audio.decode
import triad_serving.media.image.decode
from triad_serving.contract.arrays import I16
from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.decode import DecodedAudio, decode_audio, fit_audio, resample, to_16_bits
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.decode import DRAFT_FACTOR, DecodedImage, decode_image, fit_image
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.limits import MediaLimits

Form = Literal["image", "picture", "audio", "sound", "noise"]
FORMS: tuple[Form, ...] = get_args(Form)
LIMITS = MediaLimits()
NOISE_S = 60.0  # of each recording of noise


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """A sound at the graph's rate, not trimmed; truncated: whether fitting would cut it off."""

    samples_T: I16
    format: str
    seconds: float
    truncated: bool


Decoded: TypeAlias = ImageInput | DecodedImage | AudioInput | Recording
Kind = TypeVar("Kind", ImageInput, DecodedImage, AudioInput, Recording)


class File(NamedTuple):
    """A file of the table in the form that is needed of it."""

    form: Form
    path: Path

    @property
    def medium(self) -> MediumName:
        return "image" if self.form in ("image", "picture") else "audio"


def stage_of(form: Form, spec: PreprocessSpec) -> str:
    """Name of everything that decides what a file's bytes become: the code, the libraries, the spec."""
    seen = form in ("image", "picture")
    wanted = spec.image if seen else spec.audio
    module = triad_serving.media.image.decode if seen else triad_serving.media.audio.decode
    versions = (PIL.__version__, soundfile.__libsndfile_version__, soxr.__version__, np.__version__)
    facts = (form, wanted and dataclasses.asdict(wanted), dataclasses.asdict(LIMITS), versions)
    digest = hashlib.sha256(json.dumps(facts).encode())
    for source in (module.__file__, __file__):
        digest.update(Path(str(source)).read_bytes())
    return digest.hexdigest()[:16]


def to_bytes(decoded: Decoded) -> bytes:
    """Its fields as one line of JSON, then its one array."""
    fields = {field.name: getattr(decoded, field.name) for field in dataclasses.fields(decoded)}
    (name,) = (name for name, value in fields.items() if isinstance(value, np.ndarray))
    array = fields.pop(name)
    head = {"name": name, "type": array.dtype.str, "shape": array.shape, "fields": fields}
    return b"\n".join((json.dumps(head).encode(), array.tobytes()))


def from_bytes(data: bytes, kind: type[Kind]) -> Kind:
    """The array is not writable."""
    end = data.index(b"\n")
    head: dict[str, Any] = json.loads(data[:end])
    array = np.frombuffer(data, dtype=head["type"], offset=end + 1).reshape(head["shape"])
    fields: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in head["fields"].items()}
    fields[head["name"]] = array
    return kind(**fields)


def decode(form: Form, data: bytes, spec: PreprocessSpec) -> Decoded:
    """Raises TooLargeError, UnsupportedFormatError, DecodeError."""
    match form:
        case "image":
            assert spec.image is not None
            return fit_image(decode_image(data, spec.image, LIMITS), spec.image)
        case "picture":
            assert spec.image is not None
            return _reduced(decode_image(data, spec.image, LIMITS), spec.image)
        case "audio":
            assert spec.audio is not None
            return fit_audio(decode_audio(data, spec.audio, LIMITS), spec.audio)
        case "sound":
            assert spec.audio is not None
            sound = decode_audio(data, spec.audio, LIMITS)
            fitted = fit_audio(sound, spec.audio)
            return _at_graphs_rate(sound, spec.audio, truncated=fitted.truncated)
        case "noise":
            assert spec.audio is not None
            minute = AudioSpec(max_s=NOISE_S)  # of which decoding reads nothing else
            return _at_graphs_rate(decode_audio(data, minute, LIMITS), spec.audio, truncated=False)


def _at_graphs_rate(decoded: DecodedAudio, spec: AudioSpec, *, truncated: bool) -> Recording:
    samples_T = to_16_bits(resample(decoded, spec.sample_rate_hz))
    return Recording(samples_T=samples_T, format=decoded.format, seconds=decoded.seconds, truncated=truncated)


def _reduced(decoded: DecodedImage, spec: ImageSpec) -> DecodedImage:
    """Still DRAFT_FACTOR times what the graph reads, as a JPEG is decoded in the first place."""
    height, width, _ = decoded.pixels_HW3.shape
    factor = min(height // (DRAFT_FACTOR * spec.height), width // (DRAFT_FACTOR * spec.width))
    if factor < 2:
        return decoded
    pixels_HW3 = np.asarray(Image.fromarray(decoded.pixels_HW3).reduce(factor))
    return dataclasses.replace(decoded, pixels_HW3=pixels_HW3)
