"""Sound: bytes to a mono wave, then to 16-bit samples at the rate the graph reads.

`decode_audio` then `fit_audio`; training augments between the two.
"""

from __future__ import annotations

import io
import math
import re
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
# How files of FORMATS begin: libsndfile would try thirty others, too, and is not let near them.
SIGNATURE = re.compile(rb"(RIFF|RIFX|RF64)....WAVE|FORM....AIF[FC]|fLaC|OggS|\xff[\xe0-\xff]", re.DOTALL)
# WAV (RIFX: big-endian, RF64: beyond 4 GB) and AIFF: byte order, the sound's chunk.
CHUNKS = {
    b"RIFF": ("<I", b"data"),
    b"RIFX": (">I", b"data"),
    b"RF64": ("<I", b"data"),
    b"FORM": (">I", b"SSND"),
}
MAX_TAGS = 8  # in front of a sound; more than one is rare
MAX_CHUNKS = 1000  # before the sound: of 50 MB of empty ones a file took 33 s and 1.2 GB
MAX_PAGES = 100_000  # of an OGG: ten minutes in packets of 20 ms make 30 000
STRAY_PAGES = 16  # beginnings of pages where none should be; each costs libogg a checksum over 64 KB
MAX_READS = 500_000  # by libsndfile, 2 to 6 us each: an MP3 of ten minutes takes 51 000
MAX_DECODE_S = 20.0  # of CPU time: ten minutes of stereo Opus take 6.1, of 8 channels at 192 kHz in FLAC 5.8
UNKNOWN_SIZE = 0x7FFF_0000  # from here on: what streaming writers put where the length is not known


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedAudio:
    """samples_T: the first spec.decoded_s seconds, mono, full scale = 1, at sample_rate_hz, as sent.

    seconds: of the whole sound. sent_rate_hz: where samples_T have another rate already.
    """

    samples_T: F32
    sample_rate_hz: int
    format: str
    seconds: float
    sent_rate_hz: int | None = None


class Chunk(NamedTuple):
    """Of a WAV or AIFF: where its bytes begin, and how many it says it has."""

    start: int
    size: int


class PlainPcm(NamedTuple):
    """16-bit samples by moment and channel, as they lie in the file."""

    samples_TC: I16
    rate_hz: int


class _Source(io.BytesIO):
    """What libsndfile reads from. An error in here would print a traceback, and it would go on.

    In broken files it seeks before the start. exhausted: it read too often, and finds the end from then on.
    """

    exhausted = False
    _reads = 0

    def readinto(self, buffer: Any, /) -> int:
        self._reads += 1
        self.exhausted = self._reads > MAX_READS
        return 0 if self.exhausted else super().readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return -1


def decode_audio(data: bytes, spec: AudioSpec, limits: MediaLimits, *, whole: bool = False) -> DecodedAudio:
    """A sound file, decoded to its end (nothing can fail later), mixed to mono, kept up to spec.decoded_s.

    whole: all of it is kept.

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
    kept_s = limits.max_audio_s if whole else spec.decoded_s
    data = _without_id3(data)
    if not SIGNATURE.match(data):
        raise _unsupported()
    chunks = _read_chunks(data)
    _refuse_truncated(data, chunks)
    if pcm := _plain_pcm(data, chunks):
        return _decode_plain(pcm, limits, kept_s=kept_s)
    if data.startswith(b"OggS"):
        _refuse_stray_pages(data)
    source = _Source(data)
    try:
        return _decode_source(source, limits, kept_s=kept_s, most_hz=spec.sample_rate_hz if whole else None)
    finally:
        if source.exhausted:  # whatever libsndfile made of the early end
            raise DecodeError(
                f"The sound is in more than {MAX_READS} pieces.", field="audio", limit=MAX_READS
            )


def fit_audio(decoded: DecodedAudio, spec: AudioSpec, *, whole: bool = False) -> AudioInput:
    """Resampled to the spec's rate, freed of silence at its ends, cut at the maximum, rounded to 16 bits.

    whole: nothing is cut.
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
    kept_T = wave_T[start : end if whole else min(end, start + spec.max_samples)]
    return AudioInput(
        samples_T=to_16_bits(kept_T),
        format=decoded.format,
        seconds=decoded.seconds,
        sample_rate_hz=decoded.sent_rate_hz or decoded.sample_rate_hz,
        truncated=(decoded.seconds > spec.decoded_s and not whole) or end - start > spec.max_samples + 1,
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


def _decode_source(
    source: _Source, limits: MediaLimits, *, kept_s: float, most_hz: int | None
) -> DecodedAudio:
    try:
        with soundfile.SoundFile(source) as file:
            return _decode_opened(file, limits, kept_s=kept_s, most_hz=most_hz)
    except soundfile.LibsndfileError as error:
        if error.code == 1:  # SF_ERR_UNRECOGNISED_FORMAT
            raise _unsupported() from error
        raise DecodeError(f"The sound cannot be decoded: {error.error_string}", field="audio") from error


def _decode_opened(
    file: soundfile.SoundFile, limits: MediaLimits, *, kept_s: float, most_hz: int | None
) -> DecodedAudio:
    """most_hz: a sound of several blocks is resampled to it while they are read: ten minutes at 192 kHz would
    be half a gigabyte.
    """
    file_format = LIBSNDFILE_NAMES.get(file.format, file.format)
    if file_format not in FORMATS:
        raise _unsupported()
    rate_hz = file.samplerate
    _check_rate(rate_hz)
    started_s = time.thread_time()
    long = file.frames * file.channels > BLOCK_SAMPLES
    stream = (
        soxr.ResampleStream(rate_hz, most_hz, 1, dtype="float32", quality="HQ")
        if most_hz is not None and most_hz < rate_hz and long
        else None
    )
    kept: list[F32] = []
    wanted = math.ceil(kept_s * rate_hz)
    frames = 0
    while len(block_TC := file.read(BLOCK_SAMPLES // file.channels, dtype="float32", always_2d=True)):
        if not np.isfinite(block_TC).all():
            raise DecodeError("The sound holds samples that are not finite numbers.", field="audio")
        if frames < wanted:
            mono_T = block_TC[: wanted - frames].mean(axis=1, dtype=np.float64)  # float32 sums overflow
            mono_T = mono_T.astype(np.float32)
            kept.append(mono_T if stream is None else stream.resample_chunk(mono_T))
        frames += len(block_TC)
        if frames > limits.max_audio_s * rate_hz:
            raise _too_long(limits)
        if time.thread_time() - started_s > MAX_DECODE_S:
            raise TooLargeError(
                f"The sound takes longer than {MAX_DECODE_S:g} s to decode.",
                field="audio",
                limit=MAX_DECODE_S,
            )
    if not kept:
        raise _no_samples()
    if stream is not None:
        kept.append(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
    return DecodedAudio(
        samples_T=np.concatenate(kept),
        sample_rate_hz=most_hz if stream is not None and most_hz is not None else rate_hz,
        format=file_format,
        seconds=frames / rate_hz,
        sent_rate_hz=rate_hz,
    )


def _without_id3(data: bytes) -> bytes:
    """Without the tags in front of it: libmpg123 writes to stderr of each of their odd entries, of millions.

    Source: ID3v2.4, section 3.1 and 3.4. The size has seven bits in each of four bytes; a footer has ten.
    """
    start = 0
    for _ in range(MAX_TAGS):
        if data[start : start + 3] != b"ID3" or len(data) < start + 10:
            break
        size = 0
        for byte in data[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        start += 10 + size + (10 if data[start + 5] & 0x10 else 0)
    return data[start:]


def _refuse_stray_pages(data: bytes) -> None:
    """An OGG is a row of pages. Source: RFC 3533, section 6."""
    offset = pages = 0
    while data[offset : offset + 4] == b"OggS" and len(data) >= offset + 27:
        body = offset + 27 + data[offset + 26]
        offset = body + sum(data[offset + 27 : body])
        pages += 1
        if pages > MAX_PAGES:
            raise DecodeError(f"The sound is in more than {MAX_PAGES} pages.", field="audio", limit=MAX_PAGES)
    if data.count(b"OggS") > pages + STRAY_PAGES:
        raise DecodeError(f"The sound is broken: after {offset} bytes there is no OGG page.", field="audio")


def _read_chunks(data: bytes) -> dict[bytes, Chunk]:
    """Of a WAV or AIFF, up to the sound's own; nothing where the data are neither. Raises DecodeError."""
    chunks: dict[bytes, Chunk] = {}
    if data[:4] not in CHUNKS:
        return chunks
    size_format, sound = CHUNKS[data[:4]]
    offset, found = 12, 0
    while offset + 8 <= len(data) and sound not in chunks:
        found += 1
        if found > MAX_CHUNKS:
            raise DecodeError(
                f"More than {MAX_CHUNKS} chunks stand before the sound.", field="audio", limit=MAX_CHUNKS
            )
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


def _decode_plain(pcm: PlainPcm, limits: MediaLimits, *, kept_s: float) -> DecodedAudio:
    _check_rate(pcm.rate_hz)
    frames = len(pcm.samples_TC)
    if frames > limits.max_audio_s * pcm.rate_hz:
        raise _too_long(limits)
    if not frames:
        raise _no_samples()
    kept_TC = pcm.samples_TC[: math.ceil(kept_s * pcm.rate_hz)]
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


def _unsupported() -> UnsupportedFormatError:
    known = ", ".join(FORMATS)
    return UnsupportedFormatError(f"Not a sound in a format that is read ({known}).", field="audio")


def _no_samples() -> DecodeError:
    return DecodeError("The sound holds no samples.", field="audio")
