"""Builds TriDigits and the noise that is mixed into its training sounds.

    python examples/tridigits/prepare.py --source DIR [--out DIR] [--seed N]

--source: a folder with make_tridigits.py and the data sets it reads: mnist/, fsdd/ and esc10/.
Writes manifest.csv, manifest_missing.csv, meta.csv, images/, audio/, and noise/: ESC-10's folds 1 and 2,
which the training sounds are made with, too; fold 3, which test sounds are made with, is not in it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

TRAINING_FOLDS = ("1-", "2-")  # how the names of their files begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--seed", type=int, help="Another build of the same kind.")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, options.source / "make_tridigits.py", "--out", options.out]
    if options.seed is not None:
        command += ["--seed", str(options.seed)]
    subprocess.run(command, check=True)
    noise = options.out / "noise"
    noise.mkdir(exist_ok=True)
    for path in sorted((options.source / "esc10" / "flac16k").glob("*/*.flac")):
        if path.name.startswith(TRAINING_FOLDS):
            shutil.copyfile(path, noise / path.name)


if __name__ == "__main__":
    main()
