"""What the `emotion` example has to beat: a support vector machine on MFCC statistics, on the same folds.

    python examples/emotion/baseline.py [--table FILE] [--opensmile ComParE_2016]

--opensmile: its functionals (eGeMAPSv02 or ComParE_2016) in place of ours, with linear machines alone; the
package `opensmile` is for research only and no part of this project.

20 mel-frequency cepstral coefficients and their slopes per 10 ms; of each its mean, deviation and five
quantiles over the clip. Kernel, C and gamma are those that score best on the fold's validation speakers.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from scipy.fft import dct
from scipy.signal import ShortTimeFFT
from sklearn.base import clone
from sklearn.metrics import accuracy_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

TASKS = ("emotion", "sex", "sentence")
FOLDS = tuple(f"fold_{n}" for n in range(1, 6))
COEFFICIENTS, BANDS = 20, 40
LINEAR = [SVC(kernel="linear", C=c) for c in (1e-4, 3e-4, 0.001, 0.01, 0.1, 1)]
MACHINES = [
    *(SVC(kernel="linear", C=c) for c in (0.001, 0.01, 0.1, 1)),
    *(SVC(C=c, gamma=g) for c, g in itertools.product((1, 3, 10, 30), ("scale", 3e-4, 1e-3, 3e-3))),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=Path(__file__).parent / "data/metadata.csv")
    parser.add_argument("--opensmile", choices=("eGeMAPSv02", "ComParE_2016"))
    options = parser.parse_args()
    table, machines = options.table, LINEAR if options.opensmile else MACHINES
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    describe = opensmile_functionals(options.opensmile) if options.opensmile else statistics
    features_ND = np.stack([describe(table.parent / row["audio_file_name"]) for row in rows])
    out = sys.stdout.write
    out(f"| task | score | {' | '.join(FOLDS)} | mean |\n|---|---|{'---:|' * (len(FOLDS) + 1)}\n")
    for task in TASKS:
        accuracy, recall = zip(
            *(measure(features_ND, rows, task, fold, machines) for fold in FOLDS), strict=True
        )
        for name, scores in (("accuracy", accuracy), ("macro recall", recall)):
            cells = " | ".join(f"{100 * score:.1f}" for score in (*scores, np.mean(scores)))
            out(f"| {task} | {name} | {cells} |\n")


def measure(
    features_ND: np.ndarray, rows: Sequence[Mapping[str, str]], task: str, fold: str, machines: Sequence[SVC]
) -> tuple[float, float]:
    """Accuracy and macro recall on the fold's test speakers.

    Of the machine that is best on the validation speakers; it then learns from them, too.
    """
    labels_N = np.array([row[task] for row in rows])
    split_N = np.array([row[fold] for row in rows])
    train, validation, test = (split_N == name for name in ("train", "validation", "test"))
    fitted = [make_pipeline(StandardScaler(), m).fit(features_ND[train], labels_N[train]) for m in machines]
    best = max(fitted, key=lambda m: m.score(features_ND[validation], labels_N[validation]))
    seen = train | validation
    answers = clone(best).fit(features_ND[seen], labels_N[seen]).predict(features_ND[test])
    return accuracy_score(labels_N[test], answers), recall_score(labels_N[test], answers, average="macro")


def opensmile_functionals(name: str) -> Callable[[Path], np.ndarray]:
    """What openSMILE says of a whole file."""
    try:
        import opensmile
    except ImportError as error:
        sys.exit(f"--opensmile needs the package opensmile (pip install opensmile): {error}")
    smile = opensmile.Smile(feature_set=name, feature_level=opensmile.FeatureLevel.Functionals)
    return lambda path: smile.process_signal(*soundfile.read(path, dtype="float32")).to_numpy()[0]


def statistics(path: Path) -> np.ndarray:
    mfcc_CF = mfcc(*soundfile.read(path))
    series = np.concatenate([mfcc_CF, np.gradient(mfcc_CF, axis=1)])
    quantiles = np.quantile(series, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1)
    return np.concatenate([series.mean(axis=1), series.std(axis=1), *quantiles])


def mfcc(wave_T: np.ndarray, rate_hz: int) -> np.ndarray:
    """[COEFFICIENTS, frames]: cosine transform of log energies in mel bands (Davis & Mermelstein 1980)."""
    window = round(0.025 * rate_hz)
    stft = ShortTimeFFT(np.hanning(window), hop=round(0.01 * rate_hz), fs=rate_hz)
    power_KF = np.abs(stft.stft(wave_T)) ** 2
    edge_hz = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate_hz / 1400), BANDS + 2) / 2595) - 1)
    low, centre, high = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    mel_MK = np.minimum((stft.f - low) / (centre - low), (high - stft.f) / (high - centre)).clip(min=0)
    log_MF = np.log(mel_MK @ power_KF + 1e-10)
    return np.asarray(dct(log_MF, type=2, axis=0, norm="ortho")[:COEFFICIENTS])


if __name__ == "__main__":
    main()
