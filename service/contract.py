"""What crosses the border between preprocessing, the graph and postprocessing: names, shapes, dtypes.

Shape letters: L tokens of a text, H W pixels, C image cells, T samples, S sound tokens, K outputs of a task,
D embedding width, H heads, M media, B rows of a batch, Nt Ni Na texts, images and sounds packed in it.

The graph's inputs (each medium only where the model reads it):
    token_ids     int64 [Nt, L]         0 pads
    pos_ids       int64 [Nt, L]         parts of speech, 0 pads (only where TextSpec.pos)
    pixels        uint8 [Ni, H, W, 3]   RGB
    samples       int16 [Na, T]         mono at AudioSpec.sample_rate_hz
    sample_counts int64 [Na]            valid samples of each sound
    text_row, image_row, audio_row  int64 [B]   which packed item each row uses; the item count = absent
Its outputs:
    logits.TASK             float32 [B, K]   before softmax / sigmoid; a regression's value in its own unit
    attention.TASK.MEDIUM   float32 [B, L | C | S]   sums to 1 over all media; 0 where absent
    rollout.TASK.MEDIUM     float32 like attention, traced back through the layers of fusion
    fusion.LAYER            float32 [B, H, M, M]   by layer from 1, head and medium of the model: how much
                            its tokens attended to those of each; rows sum to 1; 0 where absent
    embedding.MEDIUM, embedding.fused  float32 [B, D]   L2-normalised; 0 where absent
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from service.errors import ParameterError

Medium = Literal["text", "image", "audio"]
MEDIA: tuple[Medium, ...] = get_args(Medium)
Fit = Literal["stretch", "pad", "crop"]
TaskType = Literal["classification", "multilabel", "regression"]
Device = Literal["auto", "cpu", "cuda"]
GpuMode = Literal["kernels", "graphs", "tensorrt"]

I64: TypeAlias = npt.NDArray[np.int64]
U8: TypeAlias = npt.NDArray[np.uint8]
I16: TypeAlias = npt.NDArray[np.int16]
F32: TypeAlias = npt.NDArray[np.float32]
Feed: TypeAlias = dict[str, npt.NDArray[np.generic]]  # the graph's inputs, by name

PAD_ID = 0
UNKNOWN_ID = 1

TRIM_FACTOR = 4

# Sounds and texts up to these lengths pad each other; longer ones do within each power of two.
SHORT_SAMPLES, SHORT_TOKENS = 8192, 16

# jieba.posseg's, of its dictionary and its model; ids from 1 in this order, 0 pads.
POS_TAGS: tuple[str, ...] = (
    *("a", "ad", "ag", "an", "b", "bg", "c", "d", "df", "dg", "e", "en", "eng", "f", "g", "h", "i", "in"),
    *("j", "jn", "k", "l", "ln", "m", "mg", "mq", "n", "ng", "nr", "nrfg", "nrt", "ns", "nt", "nz", "o", "p"),
    *("q", "qe", "qg", "r", "rg", "rr", "rz", "s", "t", "tg", "u", "ud", "ug", "uj", "ul", "uv", "uz"),
    *("v", "vd", "vg", "vi", "vn", "vq", "w", "x", "y", "yg", "z", "zg"),
)
POS_IDS = {tag: i for i, tag in enumerate(POS_TAGS, start=1)}


@dataclass(frozen=True, kw_only=True)
class TextSpec:
    """max_tokens: words beyond it are cut off, and the answer says so.

    pos: the graph also reads each word's part of speech (jieba.posseg). For Chinese where grammar carries
    meaning (sentiment, intent). Cutting a headline of 20 characters takes 0.18 ms with, 0.06 ms without.
    drop_pos: words of these parts of speech are left out, e.g. x (punctuation and whatever is neither
    Chinese, Latin nor a digit), uj (的), y (吗, 呢). Of POS_TAGS. A text of nothing else keeps them all.
    """

    max_tokens: int = 64
    pos: bool = False
    drop_pos: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _require_positive(max_tokens=self.max_tokens)
        unknown = sorted(set(self.drop_pos) - set(POS_TAGS))
        if unknown:
            raise ValueError(f"drop_pos: {unknown[0]!r} is no part of speech; known: {', '.join(POS_TAGS)}")


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """Pixels fed to the graph, and the grid of cells its attention speaks of.

    fit: how an image of other proportions becomes height x width. stretch: whole and distorted. pad: whole,
    between bars of `pad_colour` (red, green, blue); where proportions or edges matter, as in medical images.
    crop: its middle; where the edges say little, and for networks that were pretrained so.
    """

    height: int = 56
    width: int = 56
    rows: int = 7
    columns: int = 7
    fit: Fit = "stretch"
    pad_colour: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _require_positive(height=self.height, width=self.width, rows=self.rows, columns=self.columns)
        if not all(0 <= value <= 255 for value in self.pad_colour):
            raise ValueError(f"pad_colour: {list(self.pad_colour)} is not within 0 to 255")


@dataclass(frozen=True, kw_only=True)
class AudioSpec:
    """Samples fed to the graph, and the framing its attention speaks of (lengths in samples).

    A sound token covers `frames_per_token` hops; sound beyond max_s is cut off, and the answer says so.
    Recordings of minutes need longer tokens, because every token looks at every other: training refuses more
    than 2048. frames_per_token = 64 makes tokens of 0.64 s, 469 of five minutes.
    window_s: the encoder hears so many seconds at a time, as if each were a sound of its own, and fusion all
    of them: for recordings whose loudness or noise changes, and for encoders whose own attention has an end.
    0: the whole sound at once.
    trim_db: silence at both ends is not read, that is what lies so many decibels below the loudest moment; 30
    or 40 for recordings that begin long before the sound does. It is looked for in the first TRIM_FACTOR
    times max_s. 0: nothing is trimmed.
    """

    sample_rate_hz: int = 8000
    max_s: float = 5.0
    window: int = 200
    hop: int = 80
    frames_per_token: int = 4
    window_s: float = 0.0
    trim_db: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _require_positive(sample_rate_hz=self.sample_rate_hz, max_s=self.max_s, window=self.window)
        _require_positive(hop=self.hop, frames_per_token=self.frames_per_token)
        if self.max_samples < self.window:
            raise ValueError(f"max_s is {self.max_samples} samples, less than the window of {self.window}")
        if self.window_s < 0 or self.trim_db < 0:
            raise ValueError(f"window_s ({self.window_s:g}) or trim_db ({self.trim_db:g}) is negative")

    @property
    def max_samples(self) -> int:
        return round(self.max_s * self.sample_rate_hz)

    @property
    def decoded_s(self) -> float:
        """How much of a sound is decoded: more where silence may be trimmed."""
        return self.max_s * TRIM_FACTOR if self.trim_db else self.max_s

    @property
    def token_s(self) -> float:
        """Seconds from the start of one sound token to the start of the next."""
        return self.hop * self.frames_per_token / self.sample_rate_hz


@dataclass(frozen=True, kw_only=True)
class PreprocessSpec:
    """Everything needed to turn raw media into model inputs; None where the model does not read a medium."""

    text: TextSpec | None
    image: ImageSpec | None
    audio: AudioSpec | None

    @property
    def media(self) -> tuple[Medium, ...]:
        return tuple(medium for medium in MEDIA if getattr(self, medium) is not None)


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """Caps on what is decoded. The defaults are the service's."""

    max_characters: int = 10_000
    max_image_bytes: int = 20 * 2**20
    max_pixels: int = 64_000_000
    max_audio_bytes: int = 50 * 2**20
    max_audio_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class RawInputs:
    """One example as a user holds it: a string and the bytes of two files, None where absent."""

    text: str | None = None
    image: bytes | None = None
    audio: bytes | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TextInput:
    """spans: character offsets (Unicode code points) of each token in the text as sent.

    pos_L: parts of speech where the spec asks for them.
    """

    ids_L: I64
    pos_L: I64 | None = None
    spans: tuple[tuple[int, int], ...]
    characters: int
    truncated: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageInput:
    """region: left, top, right, bottom of what the model sees, in pixels of the image as sent.

    It reaches beyond the image where that was padded.
    """

    pixels_HW3: U8
    format: str
    width: int
    height: int
    region: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioInput:
    """seconds and sample_rate_hz are of the sound as sent; peak: largest |sample| of it, full scale = 1.

    start_s: where in it samples_T begins.
    """

    samples_T: I16
    format: str
    seconds: float
    sample_rate_hz: int
    truncated: bool
    peak: float
    start_s: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelInputs:
    """One example ready for the graph. Rows of a batch that share an item (by identity) encode it once."""

    text: TextInput | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None

    @property
    def media(self) -> tuple[Medium, ...]:
        return tuple(medium for medium in MEDIA if getattr(self, medium) is not None)

    def only(self, *media: Medium) -> ModelInputs:
        """The same example with every other medium removed; items stay shared."""
        return ModelInputs(**{medium: getattr(self, medium) for medium in media})


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of the graph's outputs a caller needs besides the logits."""

    attention: bool = False
    fusion: bool = False
    embeddings: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(
            attention=self.attention or other.attention,
            fusion=self.fusion or other.fusion,
            embeddings=self.embeddings or other.embeddings,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelOutputs:
    """One row of the graph's answer; all but the logits are empty unless wanted.

    logits_K: by task. attention, rollout: by task and present medium, [L], [C] or [S], padding removed.
    fusion_HMM: of each layer. embeddings_D: by present medium, and "fused".
    """

    logits_K: Mapping[str, F32]
    attention: Mapping[str, Mapping[Medium, F32]] = field(default_factory=dict)
    rollout: Mapping[str, Mapping[Medium, F32]] = field(default_factory=dict)
    fusion_HMM: Sequence[F32] = ()
    embeddings_D: Mapping[str, F32] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question the model answers. labels: empty for a regression; temperature divides the logits.

    prior: mean target on the training split, one value per output: a class's share, a tag's share, a mean.
    """

    name: str
    type: TaskType
    labels: tuple[str, ...] = ()
    prior: tuple[float, ...] = ()
    temperature: float = 1.0

    @property
    def outputs(self) -> int:
        return 1 if self.type == "regression" else len(self.labels)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, not {value}")


def media_subsets(media: Sequence[Medium]) -> list[tuple[Medium, ...]]:
    """Every non-empty subset, smallest first."""
    return [subset for size in range(1, len(media) + 1) for subset in itertools.combinations(media, size)]


def sound_tokens(sample_count: int, spec: AudioSpec) -> int:
    """How many sound tokens the graph makes of a sound; whole windows only, as the front end counts them."""
    frames = (sample_count - spec.window) // spec.hop + 1
    return -(-frames // spec.frames_per_token)


def require_media(raw: RawInputs, spec: PreprocessSpec) -> None:
    """Raises ParameterError where the example holds a medium that the model does not read."""
    for medium in MEDIA:
        if getattr(raw, medium) is not None and getattr(spec, medium) is None:
            known = ", ".join(spec.media)
            raise ParameterError(f"This model does not read {medium}; it reads {known}.", field=medium)
