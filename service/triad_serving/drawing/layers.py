"""What lies over the media: the attention of their parts, and how the answer falls without each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from triad_serving.contract.outputs import MediumName
from triad_serving.drawing.bars import number, share
from triad_serving.drawing.phrases import Phrases
from triad_serving.inference.answer import Attention, Occlusion
from triad_serving.media.figures import Canvas, Figure, Scale
from triad_serving.media.registry import present

FAINTEST = (
    0.01  # share of the answer: a drop this large has a strong colour, smaller ones never: they are noise
)
Values = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """answer: with a section for each medium. scale, title: of one medium, given its values."""

    answer: Attention | Occlusion
    scale: Callable[[Values], Scale]
    title: Callable[[MediumName, Values], str]


def attention_layer(seen: Attention, phrases: Phrases) -> Layer:
    """The most attended part of each medium has the strongest colour; bars compare the media."""

    def title(medium: MediumName, weights: Values) -> str:
        return phrases.attention_on.format(
            share=share(seen.modalities[medium]), most=number(max(weights, default=0.0))
        )

    return Layer(
        answer=seen,
        scale=lambda weights: Scale(tone="attention", most=max(weights, default=0.0) or 1.0),
        title=title,
    )


def drop_layer(found: Occlusion, phrases: Phrases) -> Layer:
    """One scale for all media, as drops can be compared across them."""
    drops = [drop for medium, section in present(found) for drop in medium.values(section)]
    faintest = FAINTEST * abs(1.0 if found.target is not None else found.value)
    scale = Scale(tone="drop", most=max([faintest, *map(abs, drops)]) or 1.0)

    def title(_: MediumName, values: Values) -> str:
        return phrases.drop_of.format(largest=number(max(values, key=abs, default=0.0), signed=True))

    return Layer(answer=found, scale=lambda _: scale, title=title)


def draw_layer(layer: Layer, canvases: Mapping[MediumName, Canvas]) -> Iterator[tuple[MediumName, Figure]]:
    """Over each medium that is there and has values."""
    for medium, section in present(layer.answer):
        values = medium.values(section)
        if values and medium.name in canvases:
            scale, title = layer.scale(values), layer.title(medium.name, values)
            yield (
                medium.name,
                medium.draw(canvases[medium.name], section, values, scale=scale, title=title),
            )
