"""Sound: bytes to a mono wave, then to 16-bit samples at the rate the graph reads.

`decode_audio` then `fit_audio`; training augments between the two.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from triad_serving.contract.arrays import F32, I16
from triad_serving.contract.errors import DecodeError, TooLargeError, UnsupportedFormatError
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_serving.media.limits import MediaLimits

FORMATS = ("WAV", "FLAC", "OGG", "MP3", "AIFF")
LIBSNDFILE_NAMES = {"WAVEX": "WAV", "RF64": "WAV", "MPEG": "MP3"}
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 192_000
BLOCK_SAMPLES = 2**20  # decoded at a time, over all channels: bounds memory whatever the header claims
CHUNKS = {b"RIFF": ("<I", b"data"), b"FORM": (">I", b"SSND")}  # WAV and AIFF: byte order, the sound's chunk
UNKNOWN_SIZE = 0x7FFF_0000  # from here on: what streaming writers put where the length is not known


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedAudio:
    """samples_T: the first spec.decoded_s seconds, mono, full scale = 1, at sample_rate_hz, as sent.

    seconds: of the whole sound.
    """

    samples_T: F32
    sample_rate_hz: int
    format: str
    seconds: float


class Chunk(NamedTuple):
    """Of a WAV or AIFF: where its bytes begin, and how many it says it has."""

    start: int
    size: int


class PlainPcm(NamedTuple):
    """16-bit samples by moment and channel, as they lie in the file."""

    samples_TC: I16
    rate_hz: int


class _Source(io.BytesIO):
    """In broken files libsndfile seeks before the start; an error there would print a traceback for each."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return -1


def decode_audio(data: bytes, spec: AudioSpec, limits: MediaLimits) -> DecodedAudio:
    """A sound file, decoded to its end (nothing can fail later), mixed to mono, kept up to spec.decoded_s.

    Raises TooLargeError (bytes, seconds), UnsupportedFormatError, DecodeError (empty, truncated, broken,
    not finite). Past the cap on seconds the decoder stops, whatever length the header claims. An MP3 or OGG
    that was cut off is a shorter sound: these formats are streams, and `seconds` says what was there.
    """
    if len(data) > limits.max_audio_bytes:
        raise TooLargeError(
            f"The sound has {len(data)} bytes; at most {limits.max_audio_bytes} are read.",
            field="audio",
            limit=limits.max_audio_bytes,
            value=len(data),
        )
    if not data:
        raise DecodeError("The sound is empty (0 bytes).", field="audio")
    chunks = _read_chunks(data)
    _refuse_truncated(data, chunks)
    if pcm := _plain_pcm(data, chunks):
        return _decode_plain(pcm, spec, limits)
    try:
        with soundfile.SoundFile(_Source(data)) as file:
            return _decode_opened(file, spec, limits)
    except soundfile.LibsndfileError as error:
        known = ", ".join(FORMATS)
        if error.code == 1:  # SF_ERR_UNRECOGNISED_FORMAT
            raise UnsupportedFormatError(
                f"Not a sound in a format that is read ({known}).", field="audio"
            ) from error
        raise DecodeError(f"The sound cannot be decoded: {error.error_string}", field="audio") from error


def fit_audio(decoded: DecodedAudio, spec: AudioSpec) -> AudioInput:
    """Resampled to the spec's rate, freed of silence at its ends, cut at the maximum, rounded to 16 bits.

    Raises DecodeError where less than one analysis window of sound is left.
    """
    wave_T = resample(decoded, spec.sample_rate_hz)
    if not np.isfinite(wave_T).all():
        raise DecodeError("The sound's samples are too large to compute with.", field="audio")
    if len(wave_T) < spec.window:
        shortest_ms = 1000 * spec.window / spec.sample_rate_hz
        raise DecodeError(
            f"The sound is {1000 * decoded.seconds:.1f} ms long; at least {shortest_ms:.0f} ms are needed.",
            field="audio",
            limit=shortest_ms / 1000,
            value=decoded.seconds,
        )
    start, end = _audible(wave_T, spec) if spec.trim_db else (0, len(wave_T))
    kept_T = wave_T[start : min(end, start + spec.max_samples)]
    return AudioInput(
        samples_T=to_16_bits(kept_T),
        format=decoded.format,
        seconds=decoded.seconds,
        sample_rate_hz=decoded.sample_rate_hz,
        truncated=decoded.seconds > spec.decoded_s or end - start > spec.max_samples + 1,
        peak=float(np.abs(decoded.samples_T).max()),
        start_s=start / spec.sample_rate_hz,
    )


def resample(decoded: DecodedAudio, rate_hz: int) -> F32:
    if decoded.sample_rate_hz == rate_hz:
        return decoded.samples_T
    wave_T: F32 = soxr.resample(decoded.samples_T, decoded.sample_rate_hz, rate_hz, quality="HQ")
    return wave_T


def to_16_bits(wave_T: F32) -> I16:
    return np.rint(wave_T.clip(-1, 1) * 32768.0).clip(-32768, 32767).astype(np.int16)


def _audible(wave_T: F32, spec: AudioSpec) -> tuple[int, int]:
    """First and one past the last sample between the silences; at least one window of them.

    Moments are `hop` samples long; a silent one has less than trim_db below the power of the loudest.
    """
    moments = len(wave_T) // spec.hop
    if not moments:
        return 0, len(wave_T)
    wave_MH = wave_T[: moments * spec.hop].reshape(moments, spec.hop)
    power_M = np.square(wave_MH, dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power_M >= power_M.max() * 10 ** (-spec.trim_db / 10))
    start, end = int(loud[0]) * spec.hop, (int(loud[-1]) + 1) * spec.hop
    if end == moments * spec.hop:
        end = len(wave_T)
    short = max(spec.window - (end - start), 0)
    start = max(min(start - short // 2, len(wave_T) - spec.window), 0)
    return start, max(end, start + spec.window)


def _decode_opened(file: soundfile.SoundFile, spec: AudioSpec, limits: MediaLimits) -> DecodedAudio:
    file_format = LIBSNDFILE_NAMES.get(file.format, file.format)
    if file_format not in FORMATS:
        known = ", ".join(FORMATS)
        raise UnsupportedFormatError(f"{file_format} sound is not read ({known} are).", field="audio")
    rate_hz = file.samplerate
    _check_rate(rate_hz)
    kept: list[F32] = []
    wanted = math.ceil(spec.decoded_s * rate_hz)
    frames = 0
    while len(block_TC := file.read(BLOCK_SAMPLES // file.channels, dtype="float32", always_2d=True)):
        if not np.isfinite(block_TC).all():
            raise DecodeError("The sound holds samples that are not finite numbers.", field="audio")
        if frames < wanted:
            mono_T = block_TC[: wanted - frames].mean(axis=1, dtype=np.float64)  # float32 sums overflow
            kept.append(mono_T.astype(np.float32))
        frames += len(block_TC)
        if frames > limits.max_audio_s * rate_hz:
            raise _too_long(limits)
    if not kept:
        raise _no_samples()
    return DecodedAudio(
        samples_T=np.concatenate(kept), sample_rate_hz=rate_hz, format=file_format, seconds=frames / rate_hz
    )


def _read_chunks(data: bytes) -> dict[bytes, Chunk]:
    """Of a WAV or AIFF, up to the sound's own; nothing where the data are neither."""
    chunks: dict[bytes, Chunk] = {}
    if data[:4] not in CHUNKS or data[8:12] not in (b"WAVE", b"AIFF", b"AIFC"):
        return chunks
    size_format, sound = CHUNKS[data[:4]]
    offset = 12
    while offset + 8 <= len(data) and sound not in chunks:
        name, size = data[offset : offset + 4], struct.unpack_from(size_format, data, offset + 4)[0]
        chunks[name] = Chunk(offset + 8, size)
        offset += 8 + size + size % 2
    return chunks


def _refuse_truncated(data: bytes, chunks: Mapping[bytes, Chunk]) -> None:
    """libsndfile silently shortens a WAV or AIFF that was cut off; a user must be told instead."""
    for name in (b"data", b"SSND"):
        if name in chunks:
            start, size = chunks[name]
            missing = size - (len(data) - start)
            if missing > 0 and size < UNKNOWN_SIZE:
                raise DecodeError(
                    f"The sound is cut off: {missing} of {size} bytes are missing.", field="audio"
                )


def _plain_pcm(data: bytes, chunks: Mapping[bytes, Chunk]) -> PlainPcm | None:
    """A WAV of 16-bit samples, which need no library to read; None for every other sound."""
    if data[:4] != b"RIFF" or not {b"fmt ", b"data"} <= chunks.keys() or chunks[b"fmt "].size < 16:
        return None
    kind, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", data, chunks[b"fmt "].start)
    start, size = chunks[b"data"]
    if (kind, bits, frame_bytes) != (1, 16, 2 * channels) or not channels or size >= UNKNOWN_SIZE:
        return None
    samples_TC = np.frombuffer(data, "<i2", size // frame_bytes * channels, start).reshape(-1, channels)
    return PlainPcm(samples_TC, rate_hz)


def _decode_plain(pcm: PlainPcm, spec: AudioSpec, limits: MediaLimits) -> DecodedAudio:
    _check_rate(pcm.rate_hz)
    frames = len(pcm.samples_TC)
    if frames > limits.max_audio_s * pcm.rate_hz:
        raise _too_long(limits)
    if not frames:
        raise _no_samples()
    kept_TC = pcm.samples_TC[: math.ceil(spec.decoded_s * pcm.rate_hz)]
    mono_T = kept_TC.sum(axis=1, dtype=np.int32) if kept_TC.shape[1] > 1 else kept_TC[:, 0]
    full_scale = np.float32(32768 * kept_TC.shape[1])
    return DecodedAudio(
        samples_T=mono_T.astype(np.float32) / full_scale,
        sample_rate_hz=pcm.rate_hz,
        format="WAV",
        seconds=frames / pcm.rate_hz,
    )


def _check_rate(rate_hz: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DecodeError(
            f"The sound has {rate_hz} samples per second; {MIN_RATE_HZ} to {MAX_RATE_HZ} are read.",
            field="audio",
            value=rate_hz,
        )


def _too_long(limits: MediaLimits) -> TooLargeError:
    return TooLargeError(
        f"The sound is longer than {limits.max_audio_s:g} s.", field="audio", limit=limits.max_audio_s
    )


def _no_samples() -> DecodeError:
    return DecodeError("The sound holds no samples.", field="audio")
