"""What an answer says of a sound."""

from __future__ import annotations

from pydantic import Field

from triad_serving.contract.schema import DROP, ROLLOUT, Schema


class AudioReport(Schema):
    format: str = Field(examples=["WAV"])
    seconds: float = Field(description="As sent.", examples=[0.52])
    sample_rate: int = Field(description="Hz, as sent.", examples=[8000])
    truncated: bool = Field(description="Whether sound past the model's limit was cut off.")


class Moment(Schema):
    """One stretch of the sound as sent, in seconds."""

    start: float = Field(examples=[0.0])
    end: float = Field(examples=[0.04])


class SoundAttention(Moment):
    weight: float = Field(examples=[0.004])
    rollout: float = Field(description=ROLLOUT, examples=[0.006])


class SoundOcclusion(Moment):
    drop: float = Field(description=DROP, examples=[0.05])
    weight: float = Field(description="Attention.", examples=[0.004])


class AudioFormat(Schema):
    sample_rate: int = Field(description="Hz that sound is resampled to.", examples=[8000])
    max_seconds: float = Field(description="Sound past it is cut off.", examples=[5.0])
    formats: list[str] = Field(examples=[["WAV", "FLAC"]])
