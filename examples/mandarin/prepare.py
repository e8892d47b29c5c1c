"""Makes the table of the `mandarin` example: spoken words, and what their syllables are made of.

    python examples/mandarin/prepare.py --audio-cmn DIR [--out DIR]

--audio-cmn: a folder with mp3/hsk/WORD.mp3 and mp3/syllabs/SYLLABLE.mp3 of audio-cmn. Needs pypinyin.

`pinyin` is the syllables as they are spoken (third tones and 一, 不 change before their neighbours),
`sounds` the same cut into initial, final and tone: "zh ong 1 g uo 2". A word is in one split only; single
syllables, by another speaker, are in training alone. syllables.txt lists the syllables of training. The same
input makes the same files.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import zlib
from pathlib import Path

from pypinyin import Style, lazy_pinyin

HAN = ("\u4e00", "\u9fff")  # first and last ideograph
INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcs")  # y and w belong to their finals
FIELDS = ("audio_file_name", "split", "word", "pinyin", "sounds", "speaker")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio-cmn", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rows = make_rows(options.audio_cmn / "mp3", options.out)
    with (options.out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    heard = {s for row in rows if row["split"] == "train" for s in row["pinyin"].split()}
    (options.out / "syllables.txt").write_text("\n".join(sorted(heard)) + "\n", encoding="utf-8")
    tested = [s for row in rows if row["split"] == "test" for s in row["pinyin"].split()]
    sys.stdout.write(
        f"{len(rows)} examples in {options.out / 'metadata.csv'}; {sum(s not in heard for s in tested)} of "
        f"{len(tested)} test syllables are in no training row\n"
    )


def make_rows(source: Path, out: Path) -> list[dict[str, str]]:
    """Copies the recordings. Exits where there are none."""
    words = [path for path in sorted((source / "hsk").glob("*.mp3")) if is_word(path.stem)]
    syllables = [path for path in sorted((source / "syllabs").glob("*.mp3")) if path.stem[0] != "_"]
    if not words:
        sys.exit(f"{source} holds no hsk/WORD.mp3.")
    (out / "audio").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, path in enumerate([*words, *syllables]):
        name = f"audio/{number:05d}.mp3"
        shutil.copyfile(path, out / name)
        pinyin = [path.stem] if path in syllables else spoken(path.stem)
        rows.append(
            {
                "audio_file_name": name,
                "split": "train" if path in syllables else split_of(path.stem),
                "word": "" if path in syllables else path.stem,
                "pinyin": " ".join(pinyin),
                "sounds": " ".join(" ".join(sounds(syllable)) for syllable in pinyin),
                "speaker": "syllables" if path in syllables else "words",
            }
        )
    return rows


def is_word(stem: str) -> bool:
    """Not a pattern such as 越_越_."""
    return all(HAN[0] <= character <= HAN[1] for character in stem)


def split_of(word: str) -> str:
    """By the word alone: a tenth each is for validation and for the test."""
    return {0: "validation", 1: "test"}.get(zlib.crc32(word.encode()) % 10, "train")


def spoken(word: str) -> list[str]:
    """Its syllables with the number of the tone that is heard, 5 for none."""
    return lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, tone_sandhi=True)


def sounds(syllable: str) -> list[str]:
    """Initial (where there is one), final and tone of "zhong1"."""
    base, tone = syllable[:-1], syllable[-1]
    initial = next((initial for initial in INITIALS if base.startswith(initial)), "")
    return [part for part in (initial, base[len(initial) :], tone) if part]


if __name__ == "__main__":
    main()
