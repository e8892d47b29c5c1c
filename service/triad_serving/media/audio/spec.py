"""What a model reads of a sound, and a sound ready for the graph."""

from __future__ import annotations

from dataclasses import dataclass

from triad_serving.contract.arrays import I16
from triad_serving.contract.checks import require_positive

TRIM_FACTOR = 4

# Sounds up to this length pad each other; longer ones do within each power of two.
SHORT_SAMPLES = 8192


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
        require_positive(sample_rate_hz=self.sample_rate_hz, max_s=self.max_s, window=self.window)
        require_positive(hop=self.hop, frames_per_token=self.frames_per_token)
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


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioInput:
    """seconds and sample_rate_hz are of the sound as sent; peak: largest |sample| of it, full scale = 1.

    start_s: where in it samples_T begins. windows: in how many of them all of it is read, this the first.
    """

    samples_T: I16
    format: str
    seconds: float
    sample_rate_hz: int
    truncated: bool
    peak: float
    start_s: float = 0.0
    windows: int = 1


def sound_tokens(sample_count: int, spec: AudioSpec) -> int:
    """How many sound tokens the graph makes of a sound; whole windows only, as the front end counts them."""
    frames = (sample_count - spec.window) // spec.hop + 1
    return -(-frames // spec.frames_per_token)
