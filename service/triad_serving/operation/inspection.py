"""What `triad inspect` prints: what a bundle is, what it expects, how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import indent

from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import Bundle, BundleManifest
from triad_serving.media.registry import present

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]  # subset of media -> task -> score -> value
Intervals = Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]  # likewise -> ends


def describe_bundle(bundle: Bundle) -> str:
    manifest = bundle.manifest
    megabytes = bundle.model_path.stat().st_size / 1e6
    lines = [f"{manifest.name} version {manifest.version}, made {manifest.created}"]
    if manifest.description:
        lines.append(manifest.description)
    lines += ["", "what it is", f"  {manifest.parameters:,} weights, {megabytes:.1f} MB, in {bundle.path}"]
    if made := manifest.compression:
        lines.append(
            f"  {', '.join(made.steps)}, of {made.original} (SHA-256 of its graph {made.original_sha256})"
        )
    lines += ["", "what it expects", *_describe_media(bundle), "", "what it answers"]
    lines += [_describe_task(task) for task in manifest.tasks] or ["  no task: it embeds"]
    for split, scores in manifest.metrics.items() if manifest.tasks else ():
        intervals = manifest.intervals.get(split, {})
        lines += ["", f"how good it is ({split})", *_describe_scores(scores, intervals)]
    for split, found in manifest.retrieval.items():
        lines += ["", f"how well one medium finds another ({split}, by row)", *_describe_search(found)]
    if manifest.over_linear:
        lines += ["", "how much better than linear models (test, all media)", *_describe_gains(manifest)]
    provenance = manifest.provenance
    for title, text in (
        ("what it is for", provenance.intended_use),
        ("what it was trained on", provenance.data),
        ("licence", provenance.licence),
    ):
        lines += ["", title, indent(text.strip(), "  ")] if text else []
    return "\n".join(lines)


def _describe_media(bundle: Bundle) -> Iterator[str]:
    for medium, own in present(bundle.spec):
        yield f"  {medium.name:5}  {medium.describe_spec(own, bundle.assets.get(medium.name))}"


def _describe_task(task: Task) -> str:
    names = [f"{name} above {t:.2g}" for name, t in zip(task.labels, task.thresholds, strict=False)]
    names = names or list(task.labels)
    labels = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    abstains = f"; abstains below {task.abstain_below:g}" if task.abstain_below else ""
    beam = f"; beam of {task.decoding.beam}" if task.decoding and task.decoding.beam > 1 else ""
    return f"  {task.name}  {task.type}" + (f" of {len(names)}: {labels}{abstains}{beam}" if labels else "")


def _describe_gains(manifest: BundleManifest) -> Iterator[str]:
    for task, (gain, low, high) in manifest.over_linear.items():
        yield f"  {task:<12}  {100 * gain:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def _describe_search(found: Scores) -> Iterator[str]:
    """found: direction -> what counts as right -> score -> value."""
    for direction, by in found.items():
        listed = "  ".join(
            f"{name} {by['row'][name]:.3g}" for name in ("recall@1", "recall@5", "recall@10", "map")
        )
        yield f"  {direction:<21}  {listed}"


def _describe_scores(scores: Scores, intervals: Intervals) -> Iterator[str]:
    for subset, tasks in scores.items():
        for task, values in tasks.items():
            ends = intervals.get(subset, {}).get(task, {})
            listed = "  ".join(
                f"{name} {value:.6g}"
                + (f" ({ends[name][0]:.3g} to {ends[name][1]:.3g})" if name in ends else "")
                for name, value in values.items()
            )
            yield f"  {subset:<17}  {task:<12}  {listed}"
