"""The report: one HTML file that needs nothing else, and its charts as PNG files beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

import triad_training.media
from triad_serving.contract.errors import SetupError
from triad_serving.contract.tasks import Task
from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.attribution import attribute, use_by_class
from triad_training.evaluation.breakdown import Breakdown
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.history import EpochRecord
from triad_training.evaluation.metrics import SCORE_NAMES
from triad_training.evaluation.report.advice import advise
from triad_training.evaluation.report.attention_charts import (
    draw_agreement,
    draw_deletion,
    draw_removal,
    draw_use,
)
from triad_training.evaluation.report.cost import draw_times, peak_memory_bytes, time_subsets
from triad_training.evaluation.report.findings import (
    describe_attention,
    describe_removal,
    find_good,
    find_weak,
    headline,
    main_intervals,
    main_scores,
)
from triad_training.evaluation.report.linear import beside_linear
from triad_training.evaluation.report.mistakes import Mistake, worst_mistakes
from triad_training.evaluation.report.quality import (
    draw_classes,
    draw_confusion,
    draw_coverage,
    draw_regression,
    draw_reliability,
    draw_robustness,
    draw_scores,
)
from triad_training.evaluation.report.rows import count_rows, draw_labels, draw_lengths, open_sample
from triad_training.evaluation.report.style import decimals, drawing, to_png
from triad_training.evaluation.report.training_curves import draw_training
from triad_training.evaluation.retrieval import SCORES as RETRIEVAL_SCORES
from triad_training.media.registry import present

PAGE_FILE = "report.html"
TEMPLATE = "page.html.j2"
MEDIA_FOLDER = Path(triad_training.media.__file__).parent  # of NAME/view.html.j2, which show a medium


@dataclass(frozen=True, kw_only=True)
class Chart:
    """file: of its PNG beside the page. width: as laid out, pixels. says: what it shows, in words."""

    file: str
    png: bytes
    width: int
    says: str

    @classmethod
    def of(cls, name: str, figure: Figure, says: str) -> Chart:
        return cls(file=f"{name}.png", png=to_png(figure), width=round(96 * figure.get_figwidth()), says=says)

    @property
    def uri(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskPart:
    """Everything that the page shows of one labelled task. charts: by name, those that there is cause for."""

    task: Task
    breakdown: Breakdown
    trust: Mapping[str, float]
    mistakes: Sequence[Mistake]
    charts: Mapping[str, Chart]


def write_report(
    directory: Path,
    evaluation: Evaluation,
    *,
    history: Sequence[EpochRecord] = (),
    doubts: Sequence[str] = (),
) -> Path:
    """Writes directory/report.html and its charts. history: of the training that has just ended, if one has.

    doubts: what it has warned of.
    Raises SetupError where it cannot be written.
    """
    refused = f"The report cannot be written to {directory}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{refused}: {error.strerror}.") from error
    with drawing():
        parts = [_task_part(evaluation, breakdown) for breakdown in evaluation.breakdowns.values()]
        common = _common_charts(evaluation, history)
        page = _render(evaluation, parts, common, history, doubts)
    charts = [*common.values(), *(chart for part in parts for chart in part.charts.values())]
    try:
        for chart in charts:
            (directory / chart.file).write_bytes(chart.png)
        (directory / PAGE_FILE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{refused}: {error.strerror}.") from error
    return directory / PAGE_FILE


def _task_part(evaluation: Evaluation, breakdown: Breakdown) -> TaskPart:
    task, name = breakdown.task, breakdown.task.name
    trust = evaluation.trust.get(name, {})
    figures = _answer_charts(breakdown)
    if len(main_scores(evaluation, task)) > 1:
        figures["scores"] = (
            draw_scores(task, main_scores(evaluation, task), main_intervals(evaluation, task)),
            "Main score by subset of media",
        )
    if evaluation.curves:
        figures["robustness"] = (draw_robustness(task, evaluation.curves), "Scores as the media get worse")
    if name in evaluation.removals:
        figures["removal"] = (draw_removal(evaluation.removals[name]), "Deletion and insertion curves")
    if trust:
        game = attribute(evaluation.answers, task).complete()
        agreement = draw_agreement(game, trust.get("spearman"))
        figures["agreement"] = (agreement, "Attention against Shapley values")
        figures["deletion"] = (draw_deletion(trust), "Deletion test")
        figures["use"] = (
            draw_use(use_by_class(evaluation.answers, task)),
            "Attention and Shapley values by class",
        )
    return TaskPart(
        task=task,
        breakdown=breakdown,
        trust=trust,
        mistakes=worst_mistakes(evaluation, breakdown),
        charts={
            kind: Chart.of(f"{kind}-{name}", figure, f"{says}: {name}")
            for kind, (figure, says) in figures.items()
        },
    )


def _answer_charts(breakdown: Breakdown) -> dict[str, tuple[Figure, str]]:
    """Of one task's answers from all media."""
    figures: dict[str, tuple[Figure, str]] = {}
    if breakdown.confusion_KK is not None:
        figures["confusion"] = (draw_confusion(breakdown, breakdown.confusion_KK), "Confusion matrix")
    if breakdown.classes:
        figures["classes"] = (draw_classes(breakdown), "Precision and recall by class")
    for kind, bins in (("reliability", breakdown.reliability), ("symbols", breakdown.symbol_reliability)):
        if bins is not None:
            figures[kind] = (draw_reliability(bins), "Reliability diagram")
    if breakdown.coverage is not None:
        figures["coverage"] = (draw_coverage(breakdown, breakdown.coverage), "Accuracy by coverage")
    if breakdown.task.type == "regression":
        figures["regression"] = (draw_regression(breakdown), "Answer against truth")
    return figures


def _common_charts(evaluation: Evaluation, history: Sequence[EpochRecord]) -> dict[str, Chart]:
    figures: dict[str, tuple[Figure, str]] = {}
    if history:
        figures["course"] = (draw_training(history), "Loss, validation score, learning rate, time by epoch")
    opened = open_sample(evaluation.dataset, evaluation.examples)
    lengths = draw_lengths(opened)
    if lengths is not None:
        figures["lengths"] = (lengths, "Sizes of what the rows hold")
    counted = count_rows(evaluation.examples, _config(evaluation), evaluation.bundle.tasks)
    for task in evaluation.bundle.tasks:
        if any(rows.classes.get(task.name) for rows in counted):
            figures[f"labels-{task.name}"] = (draw_labels(task, counted), f"Labels of {task.name} by split")
    times_ms = time_subsets(evaluation.session, opened[evaluation.split])
    if len(times_ms) > 1:
        figures["times"] = (draw_times(times_ms), "Time of the graph by subset of media")
    return {kind: Chart.of(kind, figure, says) for kind, (figure, says) in figures.items()}


def _render(
    evaluation: Evaluation,
    parts: Sequence[TaskPart],
    common: Mapping[str, Chart],
    history: Sequence[EpochRecord],
    doubts: Sequence[str],
) -> str:
    config, manifest = _config(evaluation), evaluation.bundle.manifest
    compared = beside_linear(evaluation)
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, MEDIA_FOLDER]),
        autoescape=True,  # texts and labels are a user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        manifest=manifest,
        split=evaluation.split,
        scores=evaluation.scores,
        intervals=evaluation.intervals,
        score_names=SCORE_NAMES,
        retrieval=evaluation.retrieval,
        retrieval_scores=RETRIEVAL_SCORES,
        decimals=decimals,
        headlines=[headline(part.breakdown) for part in parts],
        good=[
            *(sentence for part in parts for sentence in find_good(part.breakdown)),
            *(each.sentence for each in compared if not each.beaten),
        ],
        weak=list(find_weak(evaluation)),
        compared=compared,
        verdicts=[
            *(
                sentence
                for name, each in evaluation.trust.items()
                for sentence in describe_attention(name, each)
            ),
            *(describe_removal(name, each) for name, each in evaluation.removals.items()),
        ],
        advice=[*(f"{doubt}." for doubt in doubts), *advise(evaluation, history, config)],
        parts=parts,
        **_labels_of_media(evaluation),
        common=common,
        history=history,
        curves=evaluation.curves,
        removals=evaluation.removals,
        rows=count_rows(evaluation.examples, config, evaluation.bundle.tasks),
        megabytes=evaluation.bundle.model_path.stat().st_size / 1e6,
        peak_memory=peak_memory_bytes() if history else None,
        changed=_pretty(config.model_dump(mode="json", exclude_defaults=True)),
        every_setting=_pretty(config.model_dump(mode="json")),
    )


def _labels_of_media(evaluation: Evaluation) -> dict[str, str]:
    """What the page says of the media that the model reads."""
    media = [medium for medium, _ in present(evaluation.bundle.spec)]
    hidden = ", ".join(medium.hidden_label for medium in media)
    attended = _listed([medium.attended_label for medium in media])
    return {
        "parts_labels": _listed([medium.parts_label for medium in media]),
        "hidden_labels": hidden[:1].upper() + hidden[1:],
        "attended_labels": attended[:1].upper() + attended[1:],
    }


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _config(evaluation: Evaluation) -> TrainConfig:
    return TrainConfig.model_validate(evaluation.bundle.manifest.training)


def _pretty(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False)
