"""How good bundles are on TriDigits, and whether their attention knows what is spoilt.

    python examples/tridigits/measure.py BUNDLE [BUNDLE ...] [--data DIR]

Several bundles (seeds) are averaged. For `label` on `test` and `test_newspk`: accuracy of every subset of
media, beside the product of the bundle's own answers to each medium alone; rank correlation of attention and
Shapley values, and the deletion test; and how well a medium's weight, and how sure the answer to it alone is,
tell whether it is spoilt (AUROC; by meta.csv, which training never sees): a picture covered or blurred, a
sound below 0 dB.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from triad_serving.explanation.shapley import F64
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.session import Session
from triad_training.evaluation.attribution import compare_attention
from triad_training.evaluation.evaluate import answer_split, open_table
from triad_training.evaluation.metrics import Answers

TASK = "label"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    with (options.data / "meta.csv").open(encoding="utf-8") as file:
        meta = {row["id"]: row for row in csv.DictReader(file)}
    for split in ("test", "test_newspk"):
        runs = [measure(path, options.data / "manifest.csv", split, meta) for path in options.bundles]
        print(f"\n{split}, mean of {len(runs)}")
        for name in runs[0]:
            values = [run[name] for run in runs]
            spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
            print(f"  {name:42} {np.mean(values):7.2f}{spread}")


def measure(path: Path, table_path: Path, split: str, meta: dict[str, dict[str, str]]) -> dict[str, float]:
    bundle = read_bundle(path)
    table = open_table(bundle, table_path, [split])
    examples = table.split(split)
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks)
    answers = answer_split(session, table.dataset(examples), bundle.tasks)
    found = accuracies(answers)
    trust = compare_attention(answers, bundle.tasks).get(TASK, {})
    for name in ("spearman", "drop_most", "drop_random", "drop_least"):
        if name in trust:
            found[f"attention: {name}"] = trust[name]
    weights_EM = answers.attention[TASK][answers.whole_rows()]
    rows = [meta[(example.image or example.audio or Path()).stem] for example in examples] if trust else []
    spoilt = {
        "image": [int(row["image_severity"]) > 0 for row in rows],
        "audio": [float(row["audio_snr_db"]) < 0 for row in rows],
    }
    log_p_NK = log_probabilities(answers)
    for medium, wrong in spoilt.items():
        if wrong:
            signs = {
                "the weight on": weights_EM[:, answers.media.index(medium)],
                "how sure the answer is to the": log_p_NK[answers.subsets_N == medium].max(1),
            }
            for sign, values_E in signs.items():
                found[f"AUROC of {sign} {medium}, x 100"] = 100 * float(roc_auc_score(wrong, -values_E))
    return found


def log_probabilities(answers: Answers) -> F64:
    logits_NK = answers.logits[TASK].astype(np.float64)
    log_p_NK: F64 = logits_NK - np.logaddexp.reduce(logits_NK, axis=1, keepdims=True)
    return log_p_NK


def accuracies(answers: Answers) -> dict[str, float]:
    """Per cent, of each subset of media and of the product of the answers to its media alone."""
    log_p, truth_N = log_probabilities(answers), answers.targets[TASK]
    found = {}
    for subset in sorted(set(answers.subsets_N.tolist()), key=lambda name: (name.count("+"), name)):
        chosen = answers.subsets_N == subset
        truth = truth_N[chosen]
        found[subset] = 100 * float((log_p[chosen].argmax(1) == truth).mean())
        media = subset.split("+")
        if len(media) > 1:
            product = sum((log_p[answers.subsets_N == medium] for medium in media), start=np.zeros(1))
            found[f"{subset}: product of experts"] = 100 * float((product.argmax(1) == truth).mean())
    return {name: value for name, value in found.items() if not math.isnan(value)}


if __name__ == "__main__":
    main()
