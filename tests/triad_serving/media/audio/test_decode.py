"""Sounds to samples. References: the wave a file was made from, the frequency of a sine."""

from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.hostile.corpus import hostile_sounds
from triad_serving.contract.errors import DecodeError, TooLargeError, TriadError, UnsupportedFormatError
from triad_serving.media.audio.decode import FORMATS, UNKNOWN_SIZE, DecodedAudio, decode_audio, fit_audio
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.limits import MediaLimits

F32 = npt.NDArray[np.float32]

LIMITS = MediaLimits()
SPEC = AudioSpec(sample_rate_hz=8000, max_s=5.0, window=200)


def sine(seconds: float = 1.0, *, rate_hz: int = 16_000, hz: float = 440.0, peak: float = 0.5) -> F32:
    time_T = np.arange(round(seconds * rate_hz)) / rate_hz
    return (peak * np.sin(2 * np.pi * hz * time_T)).astype(np.float32)


def saved(wave: F32, file_format: str = "WAV", subtype: str | None = None, *, rate_hz: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, format=file_format, subtype=subtype)
    return file.getvalue()


def decoded(data: bytes, spec: AudioSpec = SPEC, limits: MediaLimits = LIMITS) -> DecodedAudio:
    return decode_audio(data, spec, limits)


def wav_of(body: bytes, *, size: int | None = None, before: bytes = b"", bits: int = 16) -> bytes:
    """A mono 8 kHz WAV put together by hand; size: what its header claims the data to be."""
    rate, width = 8000, bits // 8
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * width, width, bits)
    data = struct.pack("<4sI", b"data", len(body) if size is None else size) + body
    chunks = b"WAVE" + head + before + data
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


def loudest_hz(samples_T: npt.NDArray[np.int16], rate_hz: int) -> float:
    spectrum_F = np.abs(np.fft.rfft(samples_T * np.hanning(len(samples_T))))
    return float(np.fft.rfftfreq(len(samples_T), 1 / rate_hz)[spectrum_F.argmax()])


@pytest.mark.parametrize(
    ("file_format", "subtype", "name", "tolerance"),
    [
        ("WAV", "PCM_U8", "WAV", 2**-7),
        ("WAV", "PCM_16", "WAV", 2**-15),
        ("WAV", "PCM_24", "WAV", 2**-22),
        ("WAV", "PCM_32", "WAV", 2**-22),
        ("WAV", "FLOAT", "WAV", 0),
        ("WAV", "DOUBLE", "WAV", 0),
        ("WAV", "ULAW", "WAV", 2**-5),
        ("WAVEX", "PCM_16", "WAV", 2**-15),
        ("RF64", "PCM_16", "WAV", 2**-15),
        ("FLAC", "PCM_16", "FLAC", 2**-15),
        ("FLAC", "PCM_24", "FLAC", 2**-22),
        ("OGG", "VORBIS", "OGG", 0.05),
        ("OGG", "OPUS", "OGG", 0.05),
        ("MP3", "MPEG_LAYER_III", "MP3", 0.05),
        ("AIFF", "PCM_16", "AIFF", 2**-15),
        ("AIFF", "FLOAT", "AIFF", 0),
    ],
)
def test_every_format_gives_the_wave_it_was_made_of(
    file_format: str, subtype: str, name: str, tolerance: float
) -> None:
    wave_T = sine()

    found = decoded(saved(wave_T, file_format, subtype))

    assert (found.format, found.sample_rate_hz, found.seconds) == (name, 16_000, 1.0)
    assert found.samples_T.dtype == np.float32
    assert len(found.samples_T) == len(wave_T)
    inner = slice(1600, -1600)  # lossy codecs ring at the ends
    assert np.abs(found.samples_T - wave_T)[inner].max() <= tolerance


def test_the_list_of_formats_is_what_the_service_promises() -> None:
    assert FORMATS == ("WAV", "FLAC", "OGG", "MP3", "AIFF")


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(channels: int) -> None:
    waves_TC = np.stack([sine(hz=100.0 * (c + 1)) for c in range(channels)], axis=1)

    found = decoded(saved(waves_TC, subtype="FLOAT"))

    assert np.allclose(found.samples_T, waves_TC.sum(axis=1) / channels, atol=1e-6)
    assert found.seconds == 1.0


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("order", ["plain", "behind another chunk", "of unknown length"])
def test_plain_samples_are_read_as_libsndfile_reads_them(channels: int, order: str) -> None:
    samples_TC = np.random.default_rng(0).integers(-32768, 32768, (4001, channels), dtype=np.int16)
    data = saved(samples_TC)
    head, body = data[:12], data[12:]
    if order == "behind another chunk":
        data = head + b"LIST" + struct.pack("<I", 5) + b"INFO!\0" + body
    if order == "of unknown length":
        data = data.replace(b"data" + struct.pack("<I", samples_TC.nbytes), b"data\xff\xff\xff\xff")
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        expected_TC = file.read(dtype="float32", always_2d=True)

    found = decoded(data)

    assert np.allclose(found.samples_T, expected_TC.mean(axis=1, dtype=np.float64), atol=1e-7)
    assert (found.format, found.sample_rate_hz, found.seconds) == ("WAV", 16_000, 4001 / 16_000)


@pytest.mark.parametrize("rate_hz", [6_000, 8_000, 11_025, 16_000, 44_100, 48_000, 96_000])
def test_a_sine_keeps_its_frequency_loudness_and_length_at_the_specs_rate(rate_hz: int) -> None:
    found = fit_audio(decoded(saved(sine(rate_hz=rate_hz, hz=997.0), rate_hz=rate_hz)), SPEC)

    assert found.samples_T.dtype == np.int16
    assert abs(len(found.samples_T) - 8000) <= 1
    assert loudest_hz(found.samples_T, 8000) == pytest.approx(997, abs=1)
    middle = found.samples_T[1000:-1000].astype(float)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5 * 32768, rel=0.01)
    assert (found.sample_rate_hz, found.seconds, found.truncated) == (rate_hz, 1.0, False)
    assert found.peak == pytest.approx(0.5, abs=1e-3)


def test_what_the_specs_rate_cannot_hold_is_filtered_out_not_folded_back() -> None:
    wave_T = sine(rate_hz=44_100, hz=7000.0)

    found = fit_audio(decoded(saved(wave_T, rate_hz=44_100)), SPEC)

    assert np.abs(found.samples_T[100:-100]).max() < 0.001 * 32768


def test_sound_at_the_specs_rate_reaches_the_graph_bit_for_bit() -> None:
    sent = np.random.default_rng(0).integers(-32768, 32768, 4000).astype("<i2")

    found = fit_audio(decoded(wav_of(sent.tobytes())), SPEC)

    assert np.array_equal(found.samples_T, sent)


@pytest.mark.parametrize("peak", [1.0, 3.0, 3e38, -3e38])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_beyond_full_scale_are_clipped(peak: float, channels: int) -> None:
    wave_TC = np.full((4000, channels), peak, dtype=np.float32)

    found = fit_audio(decoded(saved(wave_TC, subtype="FLOAT", rate_hz=8000)), SPEC)

    assert set(found.samples_T.tolist()) == {32767 if peak > 0 else -32768}
    assert found.peak == pytest.approx(abs(peak))


def test_samples_too_large_to_resample_are_refused() -> None:
    wave_T = np.where(np.arange(16_000) % 100 < 50, 3.4e38, -3.4e38).astype(np.float32)

    with pytest.raises(DecodeError, match="too large"):
        fit_audio(decoded(saved(wave_T, subtype="FLOAT")), SPEC)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 7999])
def test_samples_that_are_not_numbers_are_refused(value: float, at: int) -> None:
    wave_T = sine(rate_hz=8000)
    wave_T[at] = value

    with pytest.raises(DecodeError, match="not finite") as caught:
        decoded(saved(wave_T, subtype="FLOAT", rate_hz=8000))
    assert caught.value.field == "audio"


@pytest.mark.parametrize("file_format", ["WAV", "WAVEX", "AIFF"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.9999])
def test_a_truncated_file_with_a_known_length_is_refused(file_format: str, kept: float) -> None:
    data = saved(sine(), file_format)

    with pytest.raises(DecodeError, match=r"cut off: \d+ of \d+ bytes are missing") as caught:
        decoded(data[: int(kept * len(data))])
    assert caught.value.field == "audio"


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_flac_is_refused(kept: float) -> None:
    noise_T = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    data = saved(noise_T, "FLAC")

    with pytest.raises(DecodeError, match="cannot be decoded"):
        decoded(data[: int(kept * len(data))])


@pytest.mark.parametrize(("file_format", "subtype"), [("OGG", "VORBIS"), ("MP3", None)])
def test_of_a_truncated_stream_the_seconds_that_are_there_are_told(
    file_format: str, subtype: str | None
) -> None:
    noise_T = np.random.default_rng(0).normal(0, 0.1, 4 * 16_000).astype(np.float32)
    data = saved(noise_T, file_format, subtype)

    found = decoded(data[: int(0.8 * len(data))])

    assert 2.0 < found.seconds < 3.9
    assert len(found.samples_T) == round(found.seconds * 16_000)


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, UNKNOWN_SIZE, 0xFFFFFFFF - 36])
def test_the_header_of_a_streaming_writer_is_accepted(claimed: int) -> None:
    body = (sine(rate_hz=8000) * 32767).astype("<i2").tobytes()

    assert decoded(wav_of(body, size=claimed)).seconds == 1.0


def test_chunks_before_the_sound_do_not_count() -> None:
    body = (sine(rate_hz=8000) * 32767).astype("<i2").tobytes()
    note = struct.pack("<4sI", b"LIST", 5) + b"INFO!" + b"\x00"  # an odd chunk is padded by one byte

    assert decoded(wav_of(body, before=note)).seconds == 1.0
    with pytest.raises(DecodeError, match="2 of 16000 bytes"):
        decoded(wav_of(body, before=note)[:-2])


def test_a_header_that_claims_hours_costs_no_memory() -> None:
    """A 5 KB FLAC whose header claims 2^35 samples; a WAV of 192 channels that claims 2 GB."""
    flac = bytearray(saved(sine(), "FLAC"))
    assert flac[:8] == b"fLaC\x00\x00\x00\x22"
    counts = int.from_bytes(flac[18:26], "big") >> 36 << 36
    flac[18:26] = (counts | 1 << 35).to_bytes(8, "big")
    wide = bytearray(wav_of(b"\x00" * 384 * 300, size=0x7FFFFFFF))
    wide[22:24] = struct.pack("<H", 192)
    wide[28:34] = struct.pack("<IH", 8000 * 384, 384)
    tracemalloc.start()

    for data in (bytes(flac), bytes(wide)):
        try:
            assert decoded(data).seconds < 2
        except DecodeError as error:
            assert error.field == "audio"  # noqa: PT017

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_a_sound_longer_than_the_cap_is_refused_as_soon_as_it_shows() -> None:
    """A minute of silence in a few hundred bytes of FLAC, and a cap of ten seconds."""
    data = saved(np.zeros(60 * 192_000, dtype=np.float32), "FLAC", rate_hz=192_000)

    with pytest.raises(TooLargeError, match="longer than 10 s") as caught:
        decoded(data, limits=MediaLimits(max_audio_s=10))
    assert (caught.value.field, caught.value.limit) == ("audio", 10)
    assert decoded(data, limits=MediaLimits(max_audio_s=60)).seconds == 60


def test_a_sound_over_the_byte_cap_is_refused_before_it_is_opened() -> None:
    with pytest.raises(TooLargeError, match="11 bytes; at most 10") as caught:
        decoded(b"not a sound", limits=MediaLimits(max_audio_bytes=10))
    assert (caught.value.field, caught.value.limit, caught.value.value) == ("audio", 10, 11)


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "kept", "truncated"),
    [(4.9, 8000, 39_200, False), (5.0, 8000, 40_000, False), (5.001, 8000, 40_000, True),
     (7.0, 44_100, 40_000, True)],
)  # fmt: skip
def test_sound_beyond_the_specs_maximum_is_cut_off_and_flagged(
    seconds: float, rate_hz: int, kept: int, truncated: bool
) -> None:
    whole = decoded(saved(sine(seconds, rate_hz=rate_hz), rate_hz=rate_hz))
    found = fit_audio(whole, SPEC)

    assert len(whole.samples_T) <= np.ceil(5.0 * rate_hz)
    assert (len(found.samples_T), found.truncated) == (kept, truncated)
    assert found.seconds == pytest.approx(seconds, abs=1e-4)


def test_what_lies_beyond_the_cut_must_be_sound_too() -> None:
    wave_T = sine(7.0, rate_hz=8000)
    wave_T[-1] = np.nan

    with pytest.raises(DecodeError, match="not finite"):
        decoded(saved(wave_T, subtype="FLOAT", rate_hz=8000))


@pytest.mark.parametrize("samples", [1, 199])
def test_a_sound_shorter_than_a_window_is_refused(samples: int) -> None:
    with pytest.raises(DecodeError, match="at least 25 ms are needed") as caught:
        fit_audio(decoded(wav_of(b"\x00\x01" * samples)), SPEC)
    assert (caught.value.field, caught.value.limit) == ("audio", 0.025)
    assert caught.value.value == samples / 8000


def test_a_sound_of_exactly_one_window_is_accepted() -> None:
    assert len(fit_audio(decoded(wav_of(b"\x00\x01" * 200)), SPEC).samples_T) == 200


def test_an_empty_file_and_a_file_without_samples_are_refused() -> None:
    with pytest.raises(DecodeError, match="0 bytes"):
        decoded(b"")
    for file_format in ("WAV", "AIFF"):
        with pytest.raises(DecodeError, match="no samples") as caught:
            decoded(saved(np.zeros(0, dtype=np.float32), file_format))
        assert caught.value.field == "audio"


@pytest.mark.parametrize("rate_hz", [999, 192_001])
def test_an_implausible_rate_is_refused(rate_hz: int) -> None:
    with pytest.raises(DecodeError, match="1000 to 192000 are read") as caught:
        decoded(saved(sine(rate_hz=rate_hz), rate_hz=rate_hz))
    assert caught.value.value == rate_hz


@pytest.mark.parametrize(
    "data",
    [b"\x00", b"hello, this is no sound" * 9, b"\x1aE\xdf\xa3" + b"\x00" * 60],
    ids=["0", "text", "webm"],
)
def test_a_file_that_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match="WAV, FLAC, OGG, MP3, AIFF") as caught:
        decoded(data)
    assert caught.value.field == "audio"


@pytest.mark.parametrize("file_format", ["AU", "CAF", "W64", "VOC"])
def test_a_sound_in_another_format_is_refused(file_format: str) -> None:
    with pytest.raises(UnsupportedFormatError, match="Not a sound in a format that is read"):
        decoded(saved(sine(), file_format))


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_damaged_sound_is_decoded_or_refused_and_nothing_else(file_format: str) -> None:
    data = saved(sine(0.2), file_format)
    random = np.random.default_rng(1)

    for _ in range(100):
        damaged = bytearray(data)
        for at in random.integers(0, min(len(data), 300), 3):
            damaged[at] = random.integers(0, 256)
        try:
            assert fit_audio(decoded(bytes(damaged)), SPEC).samples_T.ndim == 1
        except TriadError as error:
            assert error.status in (413, 415, 422)  # noqa: PT017


def burst(
    before_s: float, heard_s: float, after_s: float, *, rate_hz: int = 8000, hiss: float = 0.001
) -> F32:
    """A tone between two stretches of hiss, 50 dB below it."""
    count = round((before_s + heard_s + after_s) * rate_hz)
    wave_T = np.random.default_rng(0).normal(0, hiss, count).astype(np.float32)
    start = round(before_s * rate_hz)
    wave_T[start : start + round(heard_s * rate_hz)] += sine(heard_s, rate_hz=rate_hz)
    return wave_T


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
@pytest.mark.parametrize(("before_s", "after_s"), [(0.0, 0.0), (1.5, 0.0), (0.0, 2.0), (0.7, 0.31)])
def test_silence_at_the_ends_is_trimmed_to_a_moment_and_told(
    rate_hz: int, before_s: float, after_s: float
) -> None:
    data = saved(burst(before_s, 0.5, after_s, rate_hz=rate_hz), rate_hz=rate_hz)
    spec = AudioSpec(trim_db=30)

    found = fit_audio(decoded(data, spec), spec)

    assert found.start_s == pytest.approx(before_s, abs=0.011)  # a moment is 10 ms
    assert len(found.samples_T) / 8000 == pytest.approx(0.5, abs=0.021)
    assert found.seconds == pytest.approx(before_s + 0.5 + after_s, abs=0.001)
    assert not found.truncated
    whole = fit_audio(decoded(data), SPEC)
    assert whole.start_s == 0
    begin = round(found.start_s * 8000)
    assert np.array_equal(whole.samples_T[begin : begin + len(found.samples_T)], found.samples_T)


def test_only_what_lies_below_the_threshold_is_silence() -> None:
    data = saved(burst(0.5, 0.5, 0.5, hiss=0.02), rate_hz=8000)  # 25 dB below the tone

    kept = [
        len(fit_audio(decoded(data, AudioSpec(trim_db=db)), AudioSpec(trim_db=db)).samples_T)
        for db in (15, 40)
    ]

    assert kept[0] == pytest.approx(4000, abs=160)
    assert kept[1] == 12_000


def test_the_maximum_counts_from_where_the_sound_begins() -> None:
    """Two seconds are read of four times as many that are searched."""
    spec = AudioSpec(max_s=2.0, trim_db=30)

    late = fit_audio(decoded(saved(burst(5.0, 1.0, 1.0), rate_hz=8000), spec), spec)
    long = fit_audio(decoded(saved(burst(1.0, 3.0, 0.0), rate_hz=8000), spec), spec)
    endless = fit_audio(decoded(saved(burst(1.0, 1.0, 7.0), rate_hz=8000), spec), spec)

    assert (late.start_s, late.truncated) == (pytest.approx(5.0, abs=0.011), False)
    assert len(late.samples_T) == pytest.approx(8000, abs=160)
    assert (len(long.samples_T), long.truncated) == (16_000, True)
    assert (endless.truncated, endless.start_s) == (True, pytest.approx(1.0, abs=0.011))  # nobody looked


@pytest.mark.parametrize("samples", [200, 210, 279])
@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_click_leaves_a_whole_window(samples: int, at: int) -> None:
    wave_T = np.zeros(samples, dtype=np.float32)
    wave_T[at] = 0.9
    spec = AudioSpec(trim_db=30)

    found = fit_audio(decoded(saved(wave_T, rate_hz=8000), spec), spec)

    assert 200 <= len(found.samples_T) <= samples
    assert np.abs(found.samples_T).max() > 29_000


def test_silence_alone_stays_and_loud_samples_do_not_overflow() -> None:
    spec = AudioSpec(trim_db=30)

    silent = fit_audio(decoded(saved(np.zeros(8000, np.float32), rate_hz=8000), spec), spec)
    loud_T = np.where(np.arange(8000) > 4000, 3e38, 0).astype(np.float32)
    loud = fit_audio(decoded(saved(loud_T, subtype="FLOAT", rate_hz=8000), spec), spec)

    assert len(silent.samples_T) == 8000
    assert loud.start_s == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_s": 0.01}, "max_s is 80 samples, less than the window of 200"),
        ({"hop": 0}, "hop must be above 0"),
        ({"trim_db": -3.0}, r"trim_db \(-3\) is negative"),
    ],
)
def test_an_impossible_spec_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AudioSpec(**options)  # type: ignore[arg-type]


def test_a_sound_that_takes_too_long_to_decode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triad_serving.media.audio.decode.MAX_DECODE_S", 0.0)

    with pytest.raises(TooLargeError, match="takes longer than 0 s") as caught:
        decoded(saved(sine(), "FLAC"))
    assert caught.value.field == "audio"


def test_a_sound_in_too_many_pieces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(sine(), "WAV", "PCM_24") + b"junk\0\0\0\0" * 2000
    assert decoded(data).seconds == 1.0

    monkeypatch.setattr("triad_serving.media.audio.decode.MAX_READS", 20)

    with pytest.raises(DecodeError, match="in more than 20 pieces"):
        decoded(data)


@pytest.mark.parametrize("file_format", ["MP3", "WAV", "FLAC"])
@pytest.mark.parametrize("tags", [1, 2])
@pytest.mark.parametrize("footer", [b"", b"3DI\4\0\x10\0\0\1\3"])
def test_tags_before_a_sound_are_passed_over(file_format: str, tags: int, footer: bytes) -> None:
    """ID3v2.4 of 131 bytes, with a frame that is none."""
    flags = b"\x10" if footer else b"\0"
    tag = b"ID3\4\0" + flags + b"\0\0\1\3" + b"TXXX\0\0\0\x01\0\0\0" * 11 + bytes(10) + footer

    assert decoded(tag * tags + saved(sine(), file_format)).format == file_format
    with pytest.raises(UnsupportedFormatError):
        decoded(tag * 9 + saved(sine(), file_format))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("WAV of 2000 chunks before its sound", "More than 1000 chunks"),
        ("AIFF of 2000 chunks before its sound", "More than 1000 chunks"),
        ("OGG of beginnings of pages", "there is no OGG page"),
        ("OGG of 110000 empty pages", "in more than 100000 pages"),
    ],
)
def test_what_would_take_long_is_refused_by_its_cause(name: str, said: str) -> None:
    data = next(case.data for case in hostile_sounds() if case.name == name)

    with pytest.raises(DecodeError, match=said):
        decoded(data)
