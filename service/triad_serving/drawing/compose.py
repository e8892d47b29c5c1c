"""From an answer and its media to what is shown of them: numbers become scales and sentences here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from triad_serving.contract.language import Language
from triad_serving.contract.outputs import MediumName
from triad_serving.drawing.bars import MOST_LABELS, contributions_of, label_bars, media_bars, number, share
from triad_serving.drawing.layers import attention_layer, draw_layer, drop_layer
from triad_serving.drawing.phrases import PHRASES, Phrases
from triad_serving.drawing.scene import Scene, TaskPart, shorten
from triad_serving.inference.answer import Classification, Multilabel, Prediction, TaskPrediction
from triad_serving.media.example import PreprocessSpec, RawInputs
from triad_serving.media.figures import Canvas, Figure, Mark, Marks, Tone
from triad_serving.media.limits import MediaLimits
from triad_serving.media.registry import MEDIA, TRANSCRIBED, by_name, present

MOST_TASKS = 12


class _Drawn(NamedTuple):
    """One task, and its figures with the medium of each."""

    part: TaskPart
    figures: Sequence[tuple[MediumName, Figure]]


def compose(
    prediction: Prediction, raw: RawInputs, spec: PreprocessSpec, limits: MediaLimits, language: Language
) -> Scene:
    """raw: what was predicted from. spec: the model's."""
    phrases = PHRASES[language]
    heard = any(answer.type == "transcript" for answer in prediction.predictions.values())
    canvases: dict[MediumName, Canvas] = {
        medium.name: medium.canvas(getattr(raw, medium.name), spec.of(medium.name), limits)
        for medium, _ in present(prediction.inputs)
        if not (heard and medium.name == TRANSCRIBED.name)
    }
    if heard:
        sent, own = getattr(raw, TRANSCRIBED.name), spec.of(TRANSCRIBED.name)
        canvases[TRANSCRIBED.name] = TRANSCRIBED.canvas(sent, own, limits, whole=True)
    shown = list(prediction.predictions.items())[:MOST_TASKS]
    drawn = [_draw_task(name, answer, canvases, phrases) for name, answer in shown]
    left_out = _cut_off(drawn, canvases, language)
    if more := len(prediction.predictions) - len(shown):
        left_out.append(phrases.more_tasks.format(count=more))
    return Scene(
        language=language,
        title=phrases.title,
        subtitle=phrases.model.format(name=prediction.model, version=prediction.version),
        canvases=tuple(canvases.values()),
        tasks=tuple(task.part for task in drawn),
        legend=_legend(phrases, [answer for _, answer in shown]),
        notes=(*left_out, *prediction.warnings),
    )


def _legend(phrases: Phrases, answers: Sequence[TaskPrediction]) -> dict[Tone, str]:
    legend: dict[Tone, str] = {}
    if any((seen := each.attention) and any(True for _ in present(seen)) for each in answers):
        legend["attention"] = phrases.attention_legend
    if any(each.occlusion for each in answers):
        legend["drop"] = phrases.drop_legend
    return legend


def _cut_off(drawn: Sequence[_Drawn], canvases: Mapping[MediumName, Canvas], language: Language) -> list[str]:
    """What of the media is not shown."""
    notes: list[str] = []
    for name, canvas in canvases.items():
        figures = [figure for task in drawn for medium, figure in task.figures if medium == name]
        notes += by_name(name).notes(canvas, figures, language)
    return notes


def _draw_task(
    name: str, answer: TaskPrediction, canvases: Mapping[MediumName, Canvas], phrases: Phrases
) -> _Drawn:
    layers = []
    if answer.attention:
        layers.append(attention_layer(answer.attention, phrases))
    if answer.occlusion:
        layers.append(drop_layer(answer.occlusion, phrases))
    figures = [named for layer in layers for named in draw_layer(layer, canvases)]
    part = TaskPart(
        name=shorten(name),
        answer=_answer(answer, phrases),
        bars=tuple(filter(None, [label_bars(answer, phrases), media_bars(answer, phrases)])),
        remarks=tuple(_remarks(answer, phrases)),
        figures=(
            *_heard(answer, phrases),
            *(figure for medium in MEDIA for of, figure in figures if of == medium.name),
        ),
    )
    return _Drawn(part, figures)


def _heard(answer: TaskPrediction, phrases: Phrases) -> Iterator[Marks]:
    """Of a transcript that is not empty."""
    if answer.type == "transcript" and answer.symbols:
        yield Marks(
            title=phrases.heard,
            marks=tuple(
                Mark(name=each.symbol, start_s=each.start, end_s=each.end, level=each.probability)
                for each in answer.symbols
            ),
        )


def _answer(answer: TaskPrediction, phrases: Phrases) -> str:
    if answer.type == "regression":
        return number(answer.value)
    if answer.type == "transcript":
        return f"{shorten(answer.text) or phrases.nothing_heard} · {share(answer.probability)}"
    if answer.type == "multilabel":
        return shorten(", ".join(answer.labels)) or phrases.no_label
    return f"{shorten(answer.label)} · {share(answer.probability)}"


def _remarks(answer: TaskPrediction, phrases: Phrases) -> Iterator[str]:
    if answer.type == "classification" and answer.abstained:
        yield phrases.abstained
    if isinstance(answer, Classification | Multilabel) and len(answer.top) > MOST_LABELS:
        yield phrases.more_labels.format(count=len(answer.top) - MOST_LABELS)
    found = answer.attribution
    explained = found or answer.occlusion
    if explained is None:
        return
    if explained.target is None:
        yield phrases.explained_value
    else:
        yield phrases.explained.format(target=shorten(explained.target) or phrases.nothing_heard)
    if found is None:
        return
    total = found.baseline + sum(contributions_of(found).values())
    yield phrases.adds_up.format(baseline=number(found.baseline), total=number(total))
    for pair in found.interactions:
        one, other = (by_name(medium).titles[phrases.language] for medium in pair.media)
        relation, value = phrases.relations[pair.relation], number(pair.value, signed=True)
        yield phrases.interaction.format(one=one, other=other, relation=relation, value=value)
