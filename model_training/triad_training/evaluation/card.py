"""The model card: what a bundle's users should know before they rely on it."""

from __future__ import annotations

from triad_serving.contract.tasks import Task, with_one_answer
from triad_serving.inference.bundle import BundleManifest
from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.baseline import baseline_table, judged_by
from triad_training.evaluation.bootstrap import Interval
from triad_training.evaluation.evaluate import score_table
from triad_training.evaluation.retrieval import retrieval_table

SCORES = (
    "Every example of the split, asked with every subset of its media. Precision, recall and F1 are "
    "means over classes; `ece` is the expected calibration error after temperature scaling; `wer` and `cer` "
    "are word and character error rates. In brackets the 95 % interval of the main score (bootstrap over the "
    "rows, or their groups)."
)
RETRIEVAL = (
    "recall@k: per cent of the queries with a right item among the first k; map: mean average precision; in "
    "brackets what a random order reaches. By row, each distinct item searches once among the distinct items "
    "of the other medium, and those are right that stand in a row with it; by a label, rows search rows."
)

MOST_SYMBOLS = 40  # of a transcript, named


def model_card(manifest: BundleManifest, *, drift: float | None = None, compression: str = "") -> str:
    """Markdown. drift: largest difference between the trained network and the exported graph.

    compression: the comparison with the bundle that it was compressed from.
    """
    provenance = manifest.provenance
    sections = [
        f"# {manifest.name}, version {manifest.version}",
        manifest.description,
        f"{manifest.parameters:,} weights. Reads {', '.join(manifest.preprocess.media)}, any of them absent.",
    ]
    if manifest.tasks:
        sections += ["## Tasks", "\n".join(_describe(task) for task in manifest.tasks), "## Scores", SCORES]
        for split, scores in manifest.metrics.items():
            sections += [f"### {split}", score_table(scores, manifest.intervals.get(split, {}))]
    if manifest.retrieval:
        sections += ["## Search between media", RETRIEVAL]
        for split, found in manifest.retrieval.items():
            sections += [f"### {split}", retrieval_table(found)]
    if manifest.linear:
        sections += ["### Beside linear models", _beside_linear(manifest)]
    if drift is not None:
        sections.append(
            f"Largest difference between the trained network and the exported graph: {drift:.1e}."
        )
    if made := manifest.compression:
        sections += ["## Compression", f"{', '.join(made.steps)}, of {made.original}.", compression]
    for title, text in (
        ("Intended use", provenance.intended_use),
        ("Data", provenance.data),
        ("Licence", provenance.licence),
    ):
        sections += [f"## {title}", text] if text else []
    return "\n\n".join(section for section in sections if section) + "\n"


def _beside_linear(manifest: BundleManifest) -> str:
    """A table of what linear models reach on the same test rows."""
    config = TrainConfig.model_validate(manifest.training)
    judged = {task.name: judged_by(task, config.tasks[task.name]) for task in with_one_answer(manifest.tasks)}
    gains = {
        task: Interval(value=value, low=low, high=high)
        for task, (value, low, high) in manifest.over_linear.items()
    }
    return baseline_table(manifest.linear, gains, judged)


def _describe(task: Task) -> str:
    names = [f"{name} (above {t:.2g})" for name, t in zip(task.labels, task.thresholds, strict=False)]
    labels = f": {', '.join(names or task.labels)}" if task.labels else ""
    if task.type == "transcript":
        shown = ", ".join(map(repr, task.labels[:MOST_SYMBOLS]))
        labels = (
            f" of {len(task.labels)} symbols: {shown}{', ...' if len(task.labels) > MOST_SYMBOLS else ''}"
        )
    abstains = f"; abstains below a probability of {task.abstain_below:g}" if task.abstain_below else ""
    return f"- `{task.name}`, {task.type}{labels}{abstains}"
