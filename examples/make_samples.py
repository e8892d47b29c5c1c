"""Makes the sample files beside it and the playground's: digits drawn by hand, spoken by espeak-ng.

    python examples/make_samples.py     (needs espeak-ng; the drawing functions alone do not)

Nothing here comes from a data set. The voice, en-us+f4, is none of those that `digits` was trained on.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
PAGE = HERE.parent / "service" / "triad_serving" / "playground" / "samples"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICE = "en-us+f4"
RATE_HZ = 44_100
PAGE_RATE_HZ = 22_050  # a tenth of the bytes, and every browser plays and decodes MP3

Point = tuple[float, float]
# Each digit as strokes of the hand: points in the unit square, y downwards, joined by a smooth curve where
# there are more than three, by straight lines otherwise.
STROKES: dict[int, tuple[tuple[Point, ...], ...]] = {
    0: (
        ((0.5, 0.1), (0.28, 0.25), (0.24, 0.55), (0.36, 0.85),
         (0.58, 0.88), (0.75, 0.6), (0.7, 0.25), (0.5, 0.1)),
    ),
    1: (
        ((0.52, 0.08), (0.5, 0.92)),
    ),
    2: (
        ((0.26, 0.3), (0.38, 0.12), (0.6, 0.1), (0.74, 0.28), (0.62, 0.52), (0.24, 0.88)),
        ((0.24, 0.88), (0.8, 0.86)),
    ),
    3: (
        ((0.28, 0.16), (0.5, 0.08), (0.7, 0.22), (0.62, 0.4), (0.42, 0.47)),
        ((0.42, 0.47), (0.68, 0.54), (0.74, 0.74), (0.55, 0.9), (0.26, 0.84)),
    ),
    4: (
        ((0.56, 0.08), (0.22, 0.6), (0.82, 0.6)),
        ((0.66, 0.34), (0.62, 0.94)),
    ),
    5: (
        ((0.74, 0.1), (0.34, 0.12), (0.31, 0.44)),
        ((0.31, 0.44), (0.55, 0.4), (0.74, 0.58), (0.62, 0.86), (0.26, 0.86)),
    ),
    6: (
        ((0.66, 0.08), (0.4, 0.3), (0.28, 0.62), (0.4, 0.88),
         (0.62, 0.86), (0.7, 0.68), (0.54, 0.54), (0.3, 0.66)),
    ),
    7: (
        ((0.22, 0.14), (0.78, 0.12), (0.42, 0.92)),
    ),
    8: (
        ((0.66, 0.2), (0.46, 0.1), (0.32, 0.26), (0.5, 0.46), (0.7, 0.68),
         (0.54, 0.9), (0.32, 0.76), (0.46, 0.52), (0.68, 0.34), (0.66, 0.2)),
    ),
    9: (
        ((0.68, 0.28), (0.48, 0.12), (0.32, 0.28), (0.46, 0.48), (0.66, 0.38), (0.69, 0.26)),
        ((0.69, 0.26), (0.62, 0.92)),
    ),
}  # fmt: skip


def draw_digit(
    digit: int,
    *,
    size: tuple[int, int] = (280, 280),
    ink: str = "black",
    paper: str = "white",
    pen: float = 0.06,
    height: float = 0.75,
    centre: Point = (0.5, 0.5),
    slant: float = 0.0,
) -> Image.Image:
    """A digit on a canvas. pen, height: fractions of its shorter side; slant: shear to the right."""
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    side, radius = min(size), pen * min(size) / 2
    for stroke in STROKES[digit]:
        for x, y in _trace(stroke):
            across = x - 0.5 + slant * (0.5 - y)
            left = centre[0] * size[0] + across * height * side
            top = centre[1] * size[1] + (y - 0.5) * height * side
            draw.ellipse((left - radius, top - radius, left + radius, top + radius), fill=ink)
    return image


def photograph(image: Image.Image, rng: np.random.Generator) -> bytes:
    """The same drawing as a phone sees it: uneven light, yellowish paper, soft focus, noise, JPEG."""
    light_HW3 = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32) / 255
    height, width, _ = light_HW3.shape
    shade_HW = np.linspace(1.0, 0.65, width) * np.linspace(0.95, 0.8, height)[:, None]
    light_HW3 = (0.12 + 0.78 * light_HW3) * shade_HW[:, :, None] * np.array([1.0, 0.97, 0.88])
    light_HW3 += 0.02 * rng.standard_normal(light_HW3.shape)
    file = io.BytesIO()
    Image.fromarray((np.clip(light_HW3, 0, 1) * 255).astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def speak(digit: int, rng: np.random.Generator) -> np.ndarray:
    """[T, 2], 44.1 kHz: the word with room noise and about half a second of silence on either side."""
    command = ("espeak-ng", "-v", VOICE, "-s", "140", "--stdout", WORDS[digit])
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    wave_T, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32")
    wave_T = 0.5 * soxr.resample(wave_T, rate_hz, RATE_HZ)
    before, after = (rng.uniform(0.4, 0.6, 2) * RATE_HZ).astype(int)
    wave_T2 = np.stack([np.pad(wave_T, (before, after))] * 2, axis=1) * (1.0, 0.8)
    return wave_T2 + 0.001 * rng.standard_normal(wave_T2.shape)


def main() -> None:
    rng = np.random.default_rng(7)
    draw_digit(7, slant=0.1).save(HERE / "seven.png", optimize=True)
    paper = draw_digit(7, size=(640, 480), ink="#1c2a6b", pen=0.035, height=0.6, slant=0.15)
    (HERE / "seven.jpg").write_bytes(photograph(paper, rng))
    soundfile.write(HERE / "seven.wav", speak(7, rng), RATE_HZ, subtype="PCM_16")
    spoken = HERE / "spoken"
    for folder in (spoken, PAGE):
        folder.mkdir(exist_ok=True)
    (PAGE / "photo.jpg").write_bytes((HERE / "seven.jpg").read_bytes())
    for digit in range(10):
        wave_T2 = speak(digit, rng)
        soundfile.write(spoken / f"{digit}.ogg", wave_T2, RATE_HZ, format="OGG", subtype="VORBIS")
        mono_T = soxr.resample(wave_T2.mean(axis=1), RATE_HZ, PAGE_RATE_HZ)
        soundfile.write(PAGE / f"{digit}.mp3", mono_T, PAGE_RATE_HZ, format="MP3", compression_level=0.7)
        draw_digit(digit, slant=0.1).save(PAGE / f"{digit}.png", optimize=True)


def _trace(points: Sequence[Point]) -> list[Point]:
    """Dense points along the stroke: Catmull-Rom's spline through more than three points, else lines."""
    steps = np.linspace(0, 1, 60)[:, None]
    given = np.array(points)
    padded = np.concatenate([given[:1], given, given[-1:]])
    traced = []
    for i in range(len(given) - 1):
        a, b, c, d = padded[i : i + 4]
        if len(given) <= 3:
            traced.append(b + (c - b) * steps)
        else:
            cubic = (2 * a - 5 * b + 4 * c - d) * steps**2 + (3 * b - a - 3 * c + d) * steps**3
            traced.append(b + 0.5 * ((c - a) * steps + cubic))
    return [(float(x), float(y)) for x, y in np.concatenate(traced)]


if __name__ == "__main__":
    main()
