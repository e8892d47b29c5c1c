"""Makes the table of the `spoken_digits` example: sequences of English digits, cut together from single ones.

    python examples/spoken_digits/prepare.py --fsdd DIR --esc10 DIR [--out DIR] [--synthetic-voices]

--fsdd: the Free Spoken Digit Dataset, with recordings/ in it. --esc10: ESC-10, whose clips of any depth are
named FOLD-..., .wav, .flac or .ogg. --synthetic-voices: lets voices of espeak-ng and flite (both must be
installed) speak a share of the training rows, so that the model hears more than four people.

Two to six digits of one speaker, one after the other; half of the utterances under noise of 0 to 15 dB.
Training rows come from rooms and through telephones, too. No recording and no noise is in two splits, and the
speakers of `unseen` are in no other. The same input, tools and --train make the same files.

Shape letters: T samples.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from scipy import signal

F32 = npt.NDArray[np.float32]
Generator = np.random.Generator

RATE_HZ = 8000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
UNSEEN = ("george", "yweweler")
TAKES = {"test": range(5), "validation": range(5, 10), "train": range(10, 50), "unseen": range(50)}
NOISE_FOLDS = {"train": (1, 2, 3), "validation": (4,), "test": (5,), "unseen": (5,)}
ROWS = {"validation": 500, "test": 1000, "unseen": 1000}  # and --train
DIGITS = (2, 6)  # fewest and most in an utterance
LONGEST_GAP_S, LONGEST_PAUSE_S = 0.5, 0.4  # between digits; before the first and behind the last
WORD_LEVEL_DB, PEAK_DB = 3.0, (-25.0, -1.0)  # of a digit within its utterance; of the utterance
HISS_DB = (-60.0, -35.0)  # of every utterance, below its speech
NOISE_SHARE, SNR_DB = 0.5, (0.0, 15.0)
BANDS_DB = (5, 10)  # between those that the column `noise` tells apart

# Of the training rows alone.
ROOM_SHARE, REVERBERATION_S = 0.35, (0.1, 0.6)
TELEPHONE_SHARE, LOW_HZ, HIGH_HZ = 0.3, (50, 400), (2400, 3800)
SYNTHETIC_SHARE = 0.3
ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
ESPEAK_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
FLITE_MANNERS = 8  # of each voice, in tempo and pitch
SILENT_DB = -35.0  # below the peak: what is cut off at both ends of a synthetic word

FIELDS = ("audio_file_name", "split", "words", "speaker", "snr_db", "noise")

Voice = dict[int, list[F32]]  # takes of each digit


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the utterances of one split are made of."""

    voices: Mapping[str, Voice]
    synthetic: Mapping[str, Voice]
    noises: Sequence[F32]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--esc10", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--train", type=int, default=10_000, help="utterances to train on")
    parser.add_argument("--synthetic-voices", action="store_true")
    options = parser.parse_args()
    if options.synthetic_voices and (missing := [t for t in ("espeak-ng", "flite") if not shutil.which(t)]):
        sys.exit(f"--synthetic-voices needs {' and '.join(missing)}, not installed here.")
    synthetic = synthetic_voices() if options.synthetic_voices else {}
    sizes = {"train": options.train} | ROWS
    write_table(options.fsdd, options.esc10, options.out, sizes, synthetic=synthetic)
    sys.stdout.write(f"{sum(sizes.values())} examples in {options.out / 'metadata.csv'}\n")


def write_table(
    fsdd: Path, esc10: Path, out: Path, sizes: Mapping[str, int], *, synthetic: Mapping[str, Voice]
) -> None:
    """sizes: utterances of each split."""
    rows: list[dict[str, str]] = []
    for number, split in enumerate(sizes):
        source = Source(
            voices=read_voices(fsdd / "recordings", split),
            synthetic=synthetic if split == "train" else {},
            noises=read_noises(esc10, NOISE_FOLDS[split]),
        )
        (out / "audio" / split).mkdir(parents=True, exist_ok=True)
        for i in range(sizes[split]):
            rng = np.random.default_rng((number, i))
            name = f"audio/{split}/{i:05d}.wav"
            wave_T, cells = make_utterance(source, rng, rooms=split == "train")
            soundfile.write(out / name, wave_T, RATE_HZ, "PCM_16")
            rows.append({"audio_file_name": name, "split": split, **cells})
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def make_utterance(source: Source, rng: Generator, *, rooms: bool) -> tuple[F32, dict[str, str]]:
    """rooms: also reverberation and telephones. Returns the wave and what the table says of it."""
    synthetic = bool(source.synthetic) and rng.random() < SYNTHETIC_SHARE
    voices = source.synthetic if synthetic else source.voices
    speaker = sorted(voices)[rng.integers(len(voices))]
    digits = rng.integers(10, size=rng.integers(DIGITS[0], DIGITS[1] + 1)).tolist()
    wave_T = say(digits, voices[speaker], rng)
    if rooms and rng.random() < ROOM_SHARE:
        wave_T = reverberated(wave_T, rng)
    snr_db = float(rng.uniform(*SNR_DB)) if rng.random() < NOISE_SHARE else None
    if snr_db is not None:
        wave_T = wave_T + scaled_to(excerpt(source.noises, len(wave_T), rng), wave_T, -snr_db)
    hiss_T = rng.standard_normal(len(wave_T), dtype=np.float32)
    wave_T = wave_T + scaled_to(hiss_T, wave_T, rng.uniform(*HISS_DB))
    if rooms and rng.random() < TELEPHONE_SHARE:
        band_hz = (rng.uniform(*LOW_HZ), rng.uniform(*HIGH_HZ))
        sections = signal.butter(4, band_hz, "bandpass", fs=RATE_HZ, output="sos")
        wave_T = signal.sosfilt(sections, wave_T).astype(np.float32)
    peak = 10 ** (rng.uniform(*PEAK_DB) / 20) / np.abs(wave_T).max()
    cells = {
        "words": " ".join(WORDS[digit] for digit in digits),
        "speaker": speaker,
        "snr_db": "" if snr_db is None else f"{snr_db:.1f}",
        "noise": "none" if snr_db is None else band(snr_db),
    }
    return wave_T * np.float32(peak), cells


def band(snr_db: float) -> str:
    edges = (int(SNR_DB[0]), *BANDS_DB, int(SNR_DB[1]))
    n = sum(snr_db >= edge for edge in BANDS_DB)
    return f"{edges[n]} to {edges[n + 1]} dB"


def say(digits: Sequence[int], voice: Voice, rng: Generator) -> F32:
    """One take of each digit after the other, alike in level up to WORD_LEVEL_DB, silence between them."""
    parts = [silence(LONGEST_PAUSE_S, rng)]
    for digit in digits:
        take_T = voice[digit][rng.integers(len(voice[digit]))]
        level = 10 ** (rng.uniform(-WORD_LEVEL_DB, WORD_LEVEL_DB) / 20)
        parts += [take_T * np.float32(level / rms(take_T)), silence(LONGEST_GAP_S, rng)]
    return np.concatenate([*parts[:-1], silence(LONGEST_PAUSE_S, rng)])


def silence(longest_s: float, rng: Generator) -> F32:
    """Short ones more often than long ones."""
    return np.zeros(int(longest_s * rng.random() ** 2 * RATE_HZ), np.float32)


def reverberated(wave_T: F32, rng: Generator) -> F32:
    """A room's answer to a click: the direct sound, then noise that falls by 60 dB in a random time."""
    room_s = rng.uniform(*REVERBERATION_S)
    time_T = np.arange(int(room_s * RATE_HZ), dtype=np.float32) / RATE_HZ
    answer_T = rng.standard_normal(len(time_T), dtype=np.float32) * 10 ** (-3 * time_T / room_s)
    answer_T *= 10 ** (rng.uniform(-12, 0) / 20) / np.linalg.norm(answer_T)
    answer_T[0] = 1
    return np.asarray(signal.fftconvolve(wave_T, answer_T)[: len(wave_T)], dtype=np.float32)


def excerpt(noises: Sequence[F32], samples: int, rng: Generator) -> F32:
    """Of a random noise, from a random moment on, repeated where it ends."""
    noise_T = noises[rng.integers(len(noises))]
    return np.resize(np.roll(noise_T, -rng.integers(len(noise_T))), samples)


def scaled_to(added_T: F32, wave_T: F32, level_db: float) -> F32:
    """At so many decibels of the wave."""
    return added_T * np.float32(10 ** (level_db / 20) * rms(wave_T) / max(rms(added_T), 1e-6))


def rms(wave_T: F32) -> float:
    return float(np.sqrt(np.mean(np.square(wave_T)))) + 1e-9


def read_voices(recordings: Path, split: str) -> dict[str, Voice]:
    """Takes {digit}_{speaker}_{index}.wav of a split, by speaker. Exits where a digit is missing."""
    voices: dict[str, Voice] = {}
    for path in sorted(recordings.glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        if int(index) in TAKES[split] and (speaker in UNSEEN) == (split == "unseen"):
            voices.setdefault(speaker, {}).setdefault(int(digit), []).append(read_sound(path))
    if not voices or any(len(voice) < len(WORDS) for voice in voices.values()):
        sys.exit(f"{recordings} lacks recordings of {split}: DIGIT_SPEAKER_INDEX.wav, all digits of each.")
    return voices


def read_noises(folder: Path, folds: Sequence[int]) -> list[F32]:
    """Clips of these folds that hold any sound. Exits where there is none."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg")]
    chosen = sorted(path for path in paths if path.name.split("-")[0] in map(str, folds))
    if not (noises := [noise_T for noise_T in map(read_sound, chosen) if noise_T.any()]):
        sys.exit(f"{folder} holds no noise of folds {', '.join(map(str, folds))}.")
    return noises


def read_sound(path: Path) -> F32:
    wave_T, rate_hz = soundfile.read(path, dtype="float32")
    return wave_T if rate_hz == RATE_HZ else soxr.resample(wave_T, rate_hz, RATE_HZ)


def synthetic_voices() -> dict[str, Voice]:
    """Every digit by every voice of espeak-ng and flite, each with its own tempo and pitch."""
    rng = np.random.default_rng(0)
    commands: dict[str, list[str]] = {}
    for accent in ESPEAK_ACCENTS:
        for variant in ESPEAK_VARIANTS:
            tempo, pitch = rng.integers(100, 200), rng.integers(20, 80)
            command = f"espeak-ng -v {accent}+{variant} -s {tempo} -p {pitch} -w"
            commands[f"espeak-{accent}-{variant}"] = command.split()
    for voice in FLITE_VOICES:
        for manner in range(FLITE_MANNERS):
            stretch, pitch_hz = rng.uniform(0.8, 1.4), rng.uniform(85, 220)
            manners = f"--setf duration_stretch={stretch:.2f} --setf int_f0_target_mean={pitch_hz:.0f}"
            commands[f"flite-{voice}-{manner}"] = f"flite -voice {voice} {manners} -o".split()
    return {
        name: {digit: [spoken(word, command)] for digit, word in enumerate(WORDS)}
        for name, command in commands.items()
    }


def spoken(word: str, command: Sequence[str]) -> F32:
    """command: of a voice, all but the file that it writes and the word."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        text = ["-t", word] if command[0] == "flite" else [word]
        subprocess.run([*command, str(path), *text], check=True, capture_output=True)
        wave_T = read_sound(path)
    loud = np.flatnonzero(np.abs(wave_T) > np.abs(wave_T).max() * 10 ** (SILENT_DB / 20))
    return wave_T[loud[0] : loud[-1] + 1]


if __name__ == "__main__":
    main()
