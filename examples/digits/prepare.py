"""Makes the table of examples of the `digits` bundle from local copies of two public data sets.

    python examples/digits/prepare.py --mnist DIR --fsdd DIR [--out DIR] [--synthetic-voices]

--mnist: the four idx .gz files of MNIST. --fsdd: the Free Spoken Digit Dataset, with recordings/ in it.
--synthetic-voices: adds words spoken by espeak-ng (which must be installed) to the training split, without
a speaker label, so that the model hears more than six people.

Writes metadata.csv, images/*.png and audio/*.wav. Image and recording of a row show the same digit; no
image, recording or sentence template is in two splits. The same input makes the same files.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sentences import WORDS, make_sentence

VALIDATION_IMAGES = 3_000  # the last ones of MNIST's training file
FSDD_TEST, FSDD_VALIDATION = range(5), range(5, 10)  # 0-4 is FSDD's official test part
SYNTHETIC_SHARE = 0.2  # of the training rows, where there are synthetic voices
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f5")  # f4 and m8: never trained on
FIELDS = ("text", "image_file_name", "audio_file_name", "split", "digit", "speaker", "language")

Clip = tuple[str, str]  # file name, speaker ("" where synthetic)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--synthetic-voices", action="store_true")
    options = parser.parse_args()
    if options.synthetic_voices and shutil.which("espeak-ng") is None:
        sys.exit("--synthetic-voices needs espeak-ng, which is not installed.")
    for folder in ("images", "audio"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)

    rng = random.Random(20261123)
    clips = copy_recordings(options.fsdd / "recordings", options.out / "audio")
    spoken = synthesise_voices(options.out / "audio", rng) if options.synthetic_voices else {}
    rows: list[dict[str, str | int]] = []
    for split, images, labels in read_mnist(options.mnist):
        for i, (image_HW, digit) in enumerate(zip(images, labels, strict=True)):
            name = f"images/{split}-{i:05d}.png"
            Image.fromarray(image_HW).save(options.out / name)
            synthetic = split == "train" and spoken and rng.random() < SYNTHETIC_SHARE
            clip, speaker = rng.choice(spoken[int(digit)] if synthetic else clips[split, int(digit)])
            text, language = make_sentence(int(digit), split, rng)
            rows.append(
                dict(zip(FIELDS, (text, name, clip, split, int(digit), speaker, language), strict=True))
            )
    with (options.out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    sys.stdout.write(f"{len(rows)} examples in {options.out / 'metadata.csv'}\n")


def read_mnist(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(split, images [N, 28, 28], labels [N])."""
    images, labels = (
        read_idx(folder / "train-images-idx3-ubyte.gz"),
        read_idx(folder / "train-labels-idx1-ubyte.gz"),
    )
    held_out = len(images) - VALIDATION_IMAGES
    return [
        ("train", images[:held_out], labels[:held_out]),
        ("validation", images[held_out:], labels[held_out:]),
        (
            "test",
            read_idx(folder / "t10k-images-idx3-ubyte.gz"),
            read_idx(folder / "t10k-labels-idx1-ubyte.gz"),
        ),
    ]


def read_idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes: a magic number whose last byte is the rank, then one size per axis."""
    data = gzip.decompress(path.read_bytes())
    rank = data[3]
    shape = np.frombuffer(data, ">u4", count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def copy_recordings(source: Path, target: Path) -> dict[tuple[str, int], list[Clip]]:
    """Recordings {digit}_{speaker}_{index}.wav, by split and digit."""
    clips: dict[tuple[str, int], list[Clip]] = {}
    for path in sorted(source.glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        split = (
            "test" if int(index) in FSDD_TEST else "validation" if int(index) in FSDD_VALIDATION else "train"
        )
        shutil.copyfile(path, target / path.name)
        clips.setdefault((split, int(digit)), []).append((f"audio/{path.name}", speaker))
    return clips


def synthesise_voices(target: Path, rng: random.Random) -> dict[int, list[Clip]]:
    """Every digit by every accent and variant, each with its own tempo and pitch."""
    spoken: dict[int, list[Clip]] = {digit: [] for digit in range(10)}
    for digit, word in enumerate(WORDS["en"]):
        for accent in ACCENTS:
            for variant in VARIANTS:
                name = f"{digit}_espeak-{accent}-{variant}.wav"
                speak(word, f"{accent}+{variant}", target / name, rng.randint(110, 190), rng.randint(25, 75))
                spoken[digit].append((f"audio/{name}", ""))
    return spoken


def speak(word: str, voice: str, path: Path, words_per_minute: int, pitch: int) -> None:
    command: Sequence[str] = (
        "espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "-w", str(path), word
    )  # fmt: skip
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
