"""Pretrained sound encoders: which family a source belongs to, and the framing that follows from it."""

from __future__ import annotations

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec, sound_tokens
from triad_training.media.audio.config import MAX_SOUND_TOKENS
from triad_training.media.audio.wave import WAVE_TYPES, WaveEncoder, wave_spec
from triad_training.media.audio.whisper import WhisperEncoder, whisper_spec
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.source import load_processor, model_shape


def pretrained_audio_encoder(
    spec: AudioSpec, encoder: PretrainedConfig, *, width: int
) -> WaveEncoder | WhisperEncoder:
    if _family(encoder) == "whisper":
        return WhisperEncoder(spec, encoder, width=width)
    return WaveEncoder(encoder, width=width)


def audio_spec(spec: AudioSpec, encoder: PretrainedConfig) -> AudioSpec:
    """`spec` at the rate that the source hears, framed as its tokens are. Raises ConfigError."""
    config, processor = model_shape(encoder, "audio").config, load_processor(encoder, "audio")
    frame = whisper_spec if _family(encoder) == "whisper" else wave_spec
    try:
        framed = frame(spec, config, processor)
    except ValueError as error:
        raise ConfigError(f"preprocess.audio, as model.audio_encoder frames it: {error}.") from error
    tokens = sound_tokens(framed.max_samples, framed)
    if tokens > MAX_SOUND_TOKENS:
        raise ConfigError(
            f"preprocess.audio.max_s: model.audio_encoder makes {tokens} tokens of {spec.max_s:g} s, and at "
            f"most {MAX_SOUND_TOKENS} can attend to each other.",
            limit=MAX_SOUND_TOKENS,
            value=tokens,
        )
    return framed


def _family(encoder: PretrainedConfig) -> str:
    """Raises ConfigError for others: whether padding leaks into their tokens was not looked into."""
    family: str = model_shape(encoder, "audio").config.model_type
    if family not in (*WAVE_TYPES, "whisper"):
        known = ", ".join((*WAVE_TYPES, "whisper"))
        raise ConfigError(
            f"model.audio_encoder.source: {encoder.source} is of type {family}; read are {known}."
        )
    return family
