"""What the benchmarks send: about 60 Chinese characters, a photograph, a second of speech.

Made of the samples in examples/ and of noise; the same every time, and no two examples alike.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import soundfile
import soxr
from PIL import Image

from triad_serving.contract.arrays import I16, U8
from triad_serving.media.example import RawInputs

SAMPLES = Path(__file__).parents[1] / "examples"
COUNT = 12
RATE_HZ = 16_000
PHOTO = (320, 240)  # width, height
PHOTO_BYTES = 30_000
NOISE = 12.0  # of pixels, of 255: what a small sensor adds, so that the file is as large as a photograph's
LARGE_PHOTO = (4000, 3000)

NUMERALS = "零一二三四五六七八九"
OPENINGS = (
    "您好，我想请您帮忙看一看这张刚刚拍下来的照片，",
    "昨天晚上我们全家人一起在客厅的桌子旁边练习写字，",
    "老师要求每一位同学把自己写好的作业拍照上传，",
    "仓库里的箱子上面贴着一张已经有些模糊的标签，",
)
MIDDLES = (
    "上面清清楚楚地写着数字{}，录音里也把它读了出来，",
    "我在纸的正中间写下了数字{}，并且大声念了一遍，",
    "最后一行的那个数字应该是{}，声音里说得很明白，",
)
CLOSING = "请你告诉我它到底是几，谢谢。"


def make_examples(*, sound_s: float = 1.0) -> list[RawInputs]:
    """COUNT examples of all three media: JPEG of PHOTO size, about PHOTO_BYTES; WAV, 16-bit mono."""
    voice_T = _voice(sound_s)
    return [
        RawInputs(text=_text(n), image=_photo(n), audio=_wav(_with_hiss(voice_T, n))) for n in range(COUNT)
    ]


def make_texts() -> list[RawInputs]:
    """The same texts alone."""
    return [RawInputs(text=_text(n)) for n in range(COUNT)]


def make_large_photo(n: int) -> RawInputs:
    """A JPEG of 12 million pixels and about 4 MB, as a phone takes it, and nothing else."""
    image = Image.fromarray(_noisy_pixels(n)).resize(LARGE_PHOTO, Image.Resampling.BICUBIC)
    grain_HW3 = np.random.default_rng(n).integers(-8, 9, (*LARGE_PHOTO[::-1], 3), dtype=np.int16)
    grainy_HW3 = (np.asarray(image) + grain_HW3).clip(0, 255).astype(np.uint8)
    return RawInputs(image=_jpeg(Image.fromarray(grainy_HW3), quality=90))


def _text(n: int) -> str:
    opening, middle = OPENINGS[n % len(OPENINGS)], MIDDLES[n % len(MIDDLES)]
    return opening + middle.format(NUMERALS[n % len(NUMERALS)]) + CLOSING


def _noisy_pixels(n: int) -> U8:
    with Image.open(SAMPLES / "seven.jpg") as photo:
        pixels_HW3 = np.asarray(photo.convert("RGB").resize(PHOTO), dtype=np.float64)
    noise_HW3 = np.random.default_rng(n).normal(0, NOISE, pixels_HW3.shape)
    return (pixels_HW3 + noise_HW3).clip(0, 255).astype(np.uint8)


def _photo(n: int) -> bytes:
    """At the highest quality that keeps to PHOTO_BYTES."""
    image = Image.fromarray(_noisy_pixels(n))
    attempts = (_jpeg(image, quality=quality) for quality in range(95, 20, -1))
    return next(data for data in attempts if len(data) <= PHOTO_BYTES)


def _jpeg(image: Image.Image, *, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _voice(seconds: float) -> I16:
    """The spoken sample, over and over."""
    wave_TC, rate_hz = soundfile.read(SAMPLES / "seven.wav", dtype="float64", always_2d=True)
    spoken_T = soxr.resample(wave_TC.mean(axis=1), rate_hz, RATE_HZ)
    repeated_T = np.resize(spoken_T, round(seconds * RATE_HZ))
    return np.rint(repeated_T.clip(-1, 1) * 32767).astype(np.int16)


def _with_hiss(voice_T: I16, n: int) -> I16:
    hiss_T = np.random.default_rng(n).normal(0, 100, voice_T.shape)
    hissing_T: I16 = (voice_T + hiss_T).clip(-32768, 32767).astype(np.int16)
    return hissing_T


def _wav(samples_T: I16) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples_T.astype("<i2").tobytes())
    return file.getvalue()
