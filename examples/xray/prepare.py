"""Makes the table of the `xray` example from a local copy of the COVID-19 chest X-ray collection.

    python examples/xray/prepare.py --xrays DIR [--out DIR]

--xrays: metadata.csv (or manifest.csv) and images/ of github.com/ieee8023/covid-chestxray-dataset.

Radiographs only (no CT), each with its clinical note where there is one; masking.py says which words are
taken out of the notes. fold_1 to fold_5 each name the split of every row, and every patient is in the test of
one of them; patients without a note always train. Images are shrunk to at most 256 pixels. The same input
makes the same files.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from masking import mask_note
from PIL import Image

FOLD_COUNT = 5
LONGEST_SIDE = 256
CAUSES = {
    "COVID-19": "COVID-19",
    "COVID-19, ARDS": "COVID-19",
    "SARS": "other virus",
    "Influenza": "other virus",
    "Varicella": "other virus",
    "Bacterial": "bacterium or fungus",
    "E.Coli": "bacterium or fungus",
    "Klebsiella": "bacterium or fungus",
    "Legionella": "bacterium or fungus",
    "Mycoplasma Bacterial Pneumonia": "bacterium or fungus",
    "Pneumocystis": "bacterium or fungus",
    "Streptococcus": "bacterium or fungus",
}  # others (unspecified, lipoid, no finding): too few patients with a note to be judged; not labelled
VIEWS = {"PA": "PA", "AP": "AP", "AP Supine": "AP supine", "L": "lateral"}
YES_NO = {"Y": "yes", "N": "no"}
SEXES = {"M": "male", "F": "female"}
FOLDS = tuple(f"fold_{n + 1}" for n in range(FOLD_COUNT))
TASKS = ("cause", "view", "sex", "survival", "intubated", "icu")
NUMBERS = {  # columns of numbers, as the collection names them
    "age": "age",
    "days": "offset",  # since the onset of symptoms
    "temperature": "temperature",
    "saturation": "pO2_saturation",
    "leukocytes": "leukocyte_count",
    "neutrophils": "neutrophil_count",
    "lymphocytes": "lymphocyte_count",
}
FIELDS = ("text", "image_file_name", *NUMBERS, *TASKS, "patient", *FOLDS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xrays", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rows = make_rows(options.xrays, options.out)
    assign_folds(rows)
    with (options.out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    sys.stdout.write(f"{len(rows)} examples in {options.out / 'metadata.csv'}\n")


def make_rows(source: Path, out: Path) -> list[dict[str, str]]:
    """One row per radiograph whose file is there, each picture once; writes the pictures."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, str]] = {}  # by picture
    same: dict[str, str] = {}  # patients who share a picture are one person: another number of each

    def person(patient: str) -> str:
        return person(same[patient]) if patient in same else patient

    for record in read_records(source):
        picture = source / "images" / Path(record.get("image256") or record["filename"]).name
        if record["modality"] != "X-ray" or not picture.is_file():
            continue
        number = re.match(r"\d+", record["patientid"])
        if number is None:
            continue
        shrunk = shrink(picture)
        digest = hashlib.sha256(repr(shrunk.size).encode() + shrunk.tobytes()).hexdigest()
        if digest in rows:
            one, other = person(number.group()), person(rows[digest]["patient"])
            if one != other:
                same[one] = other
            continue
        name = f"images/{digest[:16]}.png"
        shrunk.save(out / name, compress_level=1)
        rows[digest] = {
            "text": mask_note(record["clinical_notes"]),
            "image_file_name": name,
            "cause": CAUSES.get(record["finding"].strip(), ""),
            "view": VIEWS.get(record["view"].strip(), ""),
            "sex": SEXES.get(record["sex"].strip(), ""),
            "survival": YES_NO.get(record["survival"].strip(), ""),
            "intubated": YES_NO.get(record["intubated"].strip(), ""),
            "icu": YES_NO.get(record["went_icu"].strip(), ""),
            "patient": number.group(),
            **{column: read_number(record[name]) for column, name in NUMBERS.items()},
        }
    for row in rows.values():
        row["patient"] = person(row["patient"])
    return list(rows.values())


def read_records(source: Path) -> list[dict[str, str]]:
    table = next(
        (source / name for name in ("manifest.csv", "metadata.csv") if (source / name).is_file()), None
    )
    if table is None:
        sys.exit(f"{source} holds neither manifest.csv nor metadata.csv.")
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def read_number(written: str) -> str:
    """As it is; nothing where it is no number, such as "10-15" or "unknown"."""
    try:
        float(written)
    except ValueError:
        return ""
    return written.strip()


def shrink(source: Path) -> Image.Image:
    image = Image.open(source).convert("L")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return image


def assign_folds(rows: Sequence[dict[str, str]]) -> None:
    """Writes the split of every row into each fold's column.

    Patients are dealt out in turn, in the order of their cause and survival, so that folds are alike.
    """
    kinds: dict[str, tuple[str, str]] = {}
    for row in rows:
        kinds.setdefault(row["patient"], (row["cause"], row["survival"]))
    unnoted = {row["patient"] for row in rows if not row["text"]}
    noted = sorted(kinds.keys() - unnoted, key=lambda patient: (*kinds[patient], int(patient)))
    turn = {patient: n % FOLD_COUNT for n, patient in enumerate(noted)}
    for row in rows:
        row.update(splits_of(turn, row["patient"]))


def splits_of(turn: Mapping[str, int], patient: str) -> dict[str, str]:
    """Split of a patient by fold; one without a turn always trains."""
    splits = {}
    for fold, name in enumerate(FOLDS):
        ahead = (turn[patient] - fold) % FOLD_COUNT if patient in turn else FOLD_COUNT
        splits[name] = {0: "test", 1: "validation"}.get(ahead, "train")
    return splits


if __name__ == "__main__":
    main()
