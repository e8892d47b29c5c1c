"""Makes the table of the `emotion` example from a local copy of EmoDB (Berlin, emotional speech).

    python examples/emotion/prepare.py --emodb DIR [--out DIR]

--emodb: a folder whose subfolders hold the recordings under their original names, `03a01Fa.wav` or `.flac`:
speaker, sentence, emotion, take.

Ten actors in five pairs of a man and a woman. fold_1 to fold_5 each name the split of every row: one pair is
the test, the next one the validation, the other three train. So nobody who is judged was heard in training.
The same input makes the same files.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

PAIRS = (("03", "08"), ("10", "09"), ("11", "13"), ("12", "14"), ("15", "16"))  # man, woman
EMOTIONS = {  # the German initials in the file names
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
FOLDS = tuple(f"fold_{n + 1}" for n in range(len(PAIRS)))
FIELDS = ("text", "audio_file_name", "emotion", "sentence", "sex", "speaker", *FOLDS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--emodb", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    count = write_table(options.emodb, options.out)
    sys.stdout.write(f"{count} examples in {options.out / 'metadata.csv'}\n")


def write_table(source: Path, out: Path) -> int:
    """Copies the recordings; returns how many."""
    recordings = sorted(path for path in source.rglob("*") if path.suffix in (".wav", ".flac"))
    if not recordings:
        sys.exit(f"{source} holds no .wav and no .flac.")
    (out / "audio").mkdir(parents=True, exist_ok=True)
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for path in recordings:
            shutil.copyfile(path, out / "audio" / path.name)
            writer.writerow(make_row(path))
    return len(recordings)


def make_row(path: Path) -> dict[str, str]:
    """Cells of one recording: all that is known of it stands in its name."""
    speaker, sentence, emotion = path.stem[:2], path.stem[2:5], path.stem[5]
    pair = next(n for n, pair in enumerate(PAIRS) if speaker in pair)
    return {
        "text": SENTENCES[sentence],
        "audio_file_name": f"audio/{path.name}",
        "emotion": EMOTIONS[emotion],
        "sentence": sentence,
        "sex": ("male", "female")[PAIRS[pair].index(speaker)],
        "speaker": speaker,
        **{name: split_of(pair, fold) for fold, name in enumerate(FOLDS)},
    }


def split_of(pair: int, fold: int) -> str:
    if pair == fold:
        return "test"
    return "validation" if pair == (fold + 1) % len(PAIRS) else "train"


if __name__ == "__main__":
    main()
