"""The bars of an answer: labels with their probabilities, media with attention and Shapley values."""

from __future__ import annotations

from collections.abc import Sequence

from triad_serving.contract.outputs import MediumName
from triad_serving.drawing.phrases import Phrases
from triad_serving.drawing.scene import Bars, Column, shorten
from triad_serving.inference.answer import Attribution, Classification, Multilabel, TaskPrediction
from triad_serving.media.figures import Rows
from triad_serving.media.registry import NAMES, by_name, present

MOST_LABELS = 10


def number(value: float, *, signed: bool = False) -> str:
    """Three decimals of what is around 1 or smaller, four digits of larger values."""
    size, sign = abs(value), "+" if signed else ""
    return f"{value:{sign}{'z.3f' if size < 10 else '.4g' if size < 1000 else ',.0f'}}"


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def label_bars(answer: TaskPrediction, phrases: Phrases) -> Bars | None:
    """None for a regression or transcript."""
    if not isinstance(answer, Classification | Multilabel):
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
    contributed = contributions_of(found) if found else {}
    media = [m for m in NAMES if (seen and m in seen.modalities) or m in contributed]
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
        columns.append(_shapley_column(found, [contributed.get(medium) for medium in media], phrases))
    if not columns:
        return None
    names = tuple(by_name(medium).titles[phrases.language] for medium in media)
    return Bars(title=phrases.medium, names=names, columns=tuple(columns))


def contributions_of(found: Attribution) -> dict[MediumName, float]:
    """Shapley values of the present media."""
    return {medium.name: value for medium, value in present(found)}


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


def bars_of(rows: Rows) -> Bars:
    """A bar for each row, as long as its shade is strong."""
    signed = rows.scale.tone == "drop"
    values = tuple(value for _, value in rows.rows)
    column = Column(
        title="",
        values=values,
        shown=tuple(number(value, signed=signed) for value in values),
        low=-rows.scale.most if signed else 0,
        high=rows.scale.most,
        signed=signed,
    )
    return Bars(title="", names=tuple(shorten(name) for name, _ in rows.rows), columns=(column,))
