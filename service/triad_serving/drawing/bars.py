"""The bars of an answer: labels with their probabilities, media with attention and Shapley values."""

from __future__ import annotations

from collections.abc import Sequence

from triad_serving.drawing.phrases import Phrases
from triad_serving.drawing.scene import Bars, Column, shorten
from triad_serving.inference.schemas import Attribution, TaskPrediction
from triad_serving.media.names import MEDIA

MOST_LABELS = 10


def number(value: float, *, signed: bool = False) -> str:
    """Three decimals of what is around 1 or smaller, four digits of larger values."""
    size, sign = abs(value), "+" if signed else ""
    return f"{value:{sign}{'z.3f' if size < 10 else '.4g' if size < 1000 else ',.0f'}}"


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def label_bars(answer: TaskPrediction, phrases: Phrases) -> Bars | None:
    """None for a regression."""
    if answer.type == "regression":
        return None
    top = answer.top[:MOST_LABELS]
    probabilities = [each.probability for each in top]
    chosen = answer.labels if answer.type == "multilabel" else [answer.label]
    column = Column(
        title=phrases.probability,
        values=tuple(probabilities),
        shown=tuple(share(each) for each in probabilities),
        low=0,
        high=1,
    )
    return Bars(
        title=phrases.label,
        names=tuple(shorten(each.label) for each in top),
        columns=(column,),
        chosen=tuple(map(shorten, chosen)),
    )


def media_bars(answer: TaskPrediction, phrases: Phrases) -> Bars | None:
    """Attention beside Shapley value; None where neither was asked for."""
    columns: list[Column] = []
    seen, found = answer.attention, answer.attribution
    media = [m for m in MEDIA if (seen and m in seen.modalities) or (found and getattr(found, m) is not None)]
    if seen:
        shares = [seen.modalities.get(medium, 0.0) for medium in media]
        columns.append(
            Column(
                title=phrases.attention,
                values=tuple(shares),
                shown=tuple(map(share, shares)),
                low=0,
                high=1,
            )
        )
    if found:
        columns.append(_shapley_column(found, [getattr(found, medium) for medium in media], phrases))
    if not columns:
        return None
    return Bars(
        title=phrases.medium, names=tuple(phrases.media[medium] for medium in media), columns=tuple(columns)
    )


def _shapley_column(found: Attribution, values: Sequence[float | None], phrases: Phrases) -> Column:
    """Of probabilities within [-1, 1] as far as they reach, of a regression as far as its own values do."""
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    if found.target is not None:
        high = max(high, 1.0)
    return Column(
        title=phrases.shapley,
        values=tuple(values),
        shown=tuple("" if value is None else number(value, signed=True) for value in values),
        low=low,
        high=high if high > low else low + 1,
        signed=True,
    )
