"""From an answer and its media to what is shown of them: numbers become scales and sentences here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triad_serving.drawing.bars import MOST_LABELS, label_bars, media_bars, number, share
from triad_serving.drawing.colours import Tone
from triad_serving.drawing.layers import attention_layer, draw_layer, drop_layer
from triad_serving.drawing.media import Media, picture_of, wave_of
from triad_serving.drawing.phrases import PHRASES, Phrases
from triad_serving.drawing.scene import Scene, TaskPart, shorten
from triad_serving.inference.schemas import Language, Prediction, TaskPrediction
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits

MOST_TASKS = 12


def compose(
    prediction: Prediction, raw: RawInputs, heard: AudioSpec | None, limits: MediaLimits, language: Language
) -> Scene:
    """raw: what was predicted from. heard: the model's spec of sound."""
    phrases, report = PHRASES[language], prediction.inputs
    media = Media(
        text=raw.text if report.text else None,
        picture=picture_of(raw.image, limits) if report.image and raw.image else None,
        wave=wave_of(raw.audio, heard, limits) if report.audio and raw.audio and heard else None,
    )
    shown = list(prediction.predictions.items())[:MOST_TASKS]
    tasks = tuple(_part(name, answer, media, phrases) for name, answer in shown)
    return Scene(
        language=language,
        title=phrases.title,
        subtitle=phrases.model.format(name=prediction.model, version=prediction.version),
        picture=media.picture,
        wave=media.wave,
        tasks=tasks,
        legend=_legend(phrases, [answer for _, answer in shown]),
        notes=(*_notes(phrases, tasks, media, len(prediction.predictions)), *prediction.warnings),
    )


def _legend(phrases: Phrases, answers: Sequence[TaskPrediction]) -> dict[Tone, str]:
    legend: dict[Tone, str] = {}
    if any((seen := each.attention) and (seen.text or seen.image or seen.audio) for each in answers):
        legend["attention"] = phrases.attention_legend
    if any(each.occlusion for each in answers):
        legend["drop"] = phrases.drop_legend
    return legend


def _notes(phrases: Phrases, tasks: Sequence[TaskPart], media: Media, task_count: int) -> Iterator[str]:
    """What is left out. task_count: of the answer."""
    shown = [sum(len(piece) for piece, _ in words.pieces) for part in tasks for words in part.words]
    if media.text and shown and min(shown) < len(media.text):
        yield phrases.characters.format(all=len(media.text))
    if (wave := media.wave) and round(wave.shown_s, 1) < round(wave.seconds, 1):
        yield phrases.seconds.format(shown=f"{wave.shown_s:.1f}", all=f"{wave.seconds:.1f}")
    if task_count > len(tasks):
        yield phrases.more_tasks.format(count=task_count - len(tasks))


def _part(name: str, answer: TaskPrediction, media: Media, phrases: Phrases) -> TaskPart:
    layers = []
    if answer.attention:
        layers.append(attention_layer(answer.attention, phrases))
    if answer.occlusion:
        layers.append(drop_layer(answer.occlusion, phrases))
    drawn = [draw_layer(layer, media) for layer in layers]
    return TaskPart(
        name=shorten(name),
        answer=_answer(answer, phrases),
        bars=tuple(filter(None, [label_bars(answer, phrases), media_bars(answer, phrases)])),
        remarks=tuple(_remarks(answer, phrases)),
        words=tuple(words for words, _, _ in drawn if words),
        heats=tuple(heat for _, heat, _ in drawn if heat),
        tracks=tuple(track for _, _, track in drawn if track),
    )


def _answer(answer: TaskPrediction, phrases: Phrases) -> str:
    if answer.type == "regression":
        return number(answer.value)
    if answer.type == "multilabel":
        return shorten(", ".join(answer.labels)) or phrases.no_label
    return f"{shorten(answer.label)} · {share(answer.probability)}"


def _remarks(answer: TaskPrediction, phrases: Phrases) -> Iterator[str]:
    if answer.type != "regression" and len(answer.top) > MOST_LABELS:
        yield phrases.more_labels.format(count=len(answer.top) - MOST_LABELS)
    found = answer.attribution
    explained = found or answer.occlusion
    if explained is None:
        return
    if explained.target is None:
        yield phrases.explained_value
    else:
        yield phrases.explained.format(target=shorten(explained.target))
    if found is None:
        return
    total = found.baseline + sum(filter(None, (found.text, found.image, found.audio)))
    yield phrases.adds_up.format(baseline=number(found.baseline), total=number(total))
    for pair in found.interactions:
        one, other = (phrases.media[medium] for medium in pair.media)
        relation, value = phrases.relations[pair.relation], number(pair.value, signed=True)
        yield phrases.interaction.format(one=one, other=other, relation=relation, value=value)
