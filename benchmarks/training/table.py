"""A table of examples of TriDigits' shape, made by code: for machines that do not have it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from triad_serving.contract.arrays import U8

FIELDS = ("id", "text", "image", "audio", "label", "split", "ink", "tags")
CLASSES = 10
SAMPLE_RATE_HZ = 8000
SHORTEST_S, LONGEST_S = 0.6, 2.4
SENTENCES = (
    "看起来是数字{}，你觉得呢",
    "the number in the picture is {}",
    "我听到的好像是{}",
    "it says {}, I think",
)


def write_table(folder: Path, *, train: int, validation: int) -> Path:
    """manifest.csv with a PNG of 28 pixels, a WAV of 8 kHz and a sentence in each row; its path."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    splits = ["train"] * train + ["validation"] * validation + ["test"] * CLASSES
    rows = []
    for n, split in enumerate(splits):
        label = n % CLASSES
        Image.fromarray(_picture(label, rng)).save(folder / f"{n}.png")
        _write_sound(folder / f"{n}.wav", label, rng)
        cells = (
            n,
            SENTENCES[int(rng.integers(len(SENTENCES)))].format(label),
            f"{n}.png",
            f"{n}.wav",
            label,
            split,
            round(label / CLASSES, 3),
            "odd" if label % 2 else "even;small",
        )
        rows.append(dict(zip(FIELDS, cells, strict=True)))
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _picture(label: int, rng: np.random.Generator) -> U8:
    """A bar whose place says the class, under noise."""
    pixels_HW = rng.integers(0, 80, (28, 28), dtype=np.uint8)
    pixels_HW[2:26, 2 + 2 * label : 5 + 2 * label] = 255
    return pixels_HW


def _write_sound(path: Path, label: int, rng: np.random.Generator) -> None:
    """A tone whose pitch says the class, under noise."""
    count = round(rng.uniform(SHORTEST_S, LONGEST_S) * SAMPLE_RATE_HZ)
    tone_T = 0.3 * np.sin(2 * np.pi * (300 + 200 * label) * np.arange(count) / SAMPLE_RATE_HZ)
    soundfile.write(path, tone_T + rng.normal(0, 0.05, count), SAMPLE_RATE_HZ)
