"""A table of what was said: each word a tone, one to three of them in a row; a text says whose list it is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

TONES_HZ = {"low": 300, "mid": 800, "high": 1800}
CONFIG = """
name = "said"
[data]
table = "metadata.csv"
cache = ""
[tasks.said]
type = "transcript"
context = 2
[tasks.count]
[preprocess.audio]
max_s = 1.5
window = 128
hop = 80
frames_per_token = 4
[preprocess.text]
max_tokens = 16
[lexicon]
min_count = 1
[model]
linear = false
width = 16
heads = 2
mels = 16
text_layers = 0
fusion_layers = 1
dropout = 0.0
[augment.text]
drop = 0.0
[augment.spectrum]
time_s = 0.0
bands = 0.0
[optim]
weight_decay = 0.0
average = 0.0
label_smoothing = 0.0
epochs = 6
patience = 6
batch_size = 8
learning_rate = 0.02
workers = 0
"""


def say(words: list[str], rng: np.random.Generator) -> np.ndarray:
    """A tone of about 0.2 s for each, with silence around; 8 kHz."""
    parts = [np.zeros(int(rng.integers(200, 600)))]
    for word in words:
        time_T = np.arange(int(rng.integers(1300, 1900))) / 8000
        parts += [0.4 * np.sin(2 * np.pi * TONES_HZ[word] * time_T), np.zeros(int(rng.integers(400, 800)))]
    wave_T = np.concatenate(parts)
    return wave_T + 0.005 * rng.standard_normal(len(wave_T))


def make_said_folder(folder: Path, *, rows: int = 96) -> Path:
    """metadata.csv with its sounds, and config.toml; two thirds train; some rows lack text, sound, label."""
    rng = np.random.default_rng(0)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "image_file_name", "audio_file_name", "split", "said", "count"])
        for n in range(rows):
            split = ("train", "train", "train", "train", "val", "test")[n % 6]
            words = [str(word) for word in rng.choice(list(TONES_HZ), int(rng.integers(1, 4)))]
            name = f"{n}.wav"
            soundfile.write(folder / name, say(words, rng), 8000)
            said = "" if n % 11 == 5 else " ".join(words)
            text = "" if n % 7 == 3 else f"row number {n}"
            writer.writerow([text, "", "" if n % 13 == 8 and text else name, split, said, len(words)])
    (folder / "config.toml").write_text(CONFIG.replace("[data]", '[data]\nimage = ""'), encoding="utf-8")
    return folder
