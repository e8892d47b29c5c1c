"""The sections [augment.audio] and [augment.spectrum] of a training config, and what limits a sound."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from triad_serving.media.audio.spec import AudioSpec, sound_tokens
from triad_training.media.section import Factors, Fraction, Range, Section

MAX_SOUND_TOKENS = 2048  # of one sound: fusion holds 16 bytes and more for each pair of them
Features = Literal["log_mel", "mfcc"]


class AudioAugment(Section):
    """In the order in which they happen."""

    speed: Factors = Field(default=(1.0, 1.0), description="Factor on tempo and pitch: other speakers.")
    shift_s: float = Field(
        default=0.0,
        ge=0,
        description="Largest shift, seconds; what leaves at one end is silence at the other.",
    )
    silence_s: float = Field(default=0.0, ge=0, description="Longest silence before and after, seconds each.")
    noise_snr_db: Range | None = Field(
        default=None, description="Signal to noise ratio of what is mixed in: noisy places; unset: nothing."
    )
    noise_folder: Path | None = Field(
        default=None,
        description="Recordings of noise, relative to the config file; unset: noise made of random numbers, "
        "from hiss to rumble.",
    )
    tilt_db: float = Field(default=0.0, ge=0, description="Largest treble boost or cut of a microphone.")
    step_db: float = Field(
        default=0.0,
        ge=0,
        description="Largest jump of loudness at some moment, up or down: recordings that were joined.",
    )
    gain_db: Range = Field(
        default=(0.0, 0.0),
        description="Change of loudness, which log-mel features do not show: for encoders of the raw wave.",
    )

    @model_validator(mode="after")
    def _mixes_what_it_names(self) -> AudioAugment:
        if self.noise_folder is not None and self.noise_snr_db is None:
            raise ValueError("noise_folder needs noise_snr_db, the range of signal to noise ratios")
        return self

    def with_paths_from(self, folder: Path) -> AudioAugment:
        """Its relative path is of this folder."""
        return self.model_copy(
            update={"noise_folder": self.noise_folder and (folder / self.noise_folder).resolve()}
        )

    def portable(self) -> AudioAugment:
        """The folder by its name alone."""
        return self.model_copy(update={"noise_folder": self.noise_folder and Path(self.noise_folder.name)})


class SpectrumAugment(Section):
    """SpecAugment: parts of a sound's features are hidden, inside the network while it learns."""

    masks: int = Field(default=1, ge=1, description="How many of each kind.")
    time_s: float = Field(
        default=0.0, ge=0, description="Longest stretch hidden, seconds: no single moment shall decide."
    )
    bands: Fraction = Field(
        default=0.0, description="Widest stretch of the bands hidden, share: other voices and microphones."
    )


def check_length(spec: AudioSpec) -> None:
    """Raises ValueError where the longest sound has too many tokens."""
    tokens = sound_tokens(spec.max_samples, spec)
    if tokens > MAX_SOUND_TOKENS:
        raise ValueError(
            f"audio: max_s = {spec.max_s:g} makes {tokens} tokens of {spec.token_s:g} s, and "
            f"at most {MAX_SOUND_TOKENS} can attend to each other; raise frames_per_token"
        )
