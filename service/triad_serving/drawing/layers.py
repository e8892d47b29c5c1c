"""What lies over the media: the attention of their parts, and how the answer falls without each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from triad_serving.contract.outputs import MediumName
from triad_serving.drawing.bars import number, share
from triad_serving.drawing.media import Media, pieces_of, values_by_column
from triad_serving.drawing.phrases import Phrases
from triad_serving.drawing.scene import Heat, Scale, Track, Words
from triad_serving.inference.schemas import Attention, Occlusion
from triad_serving.media.image.decode import Region

FAINTEST = (
    0.01  # share of the answer: a drop this large has a strong colour, smaller ones never: they are noise
)
Values = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """words, moments: start, end (characters, seconds) and value of each. cells: over a region of the image.

    scale, title: of one medium, given its values.
    """

    words: Sequence[tuple[int, int, float]] = ()
    cells: Sequence[Values] = ()
    region: Region = (0, 0, 0, 0)
    moments: Sequence[tuple[float, float, float]] = ()
    scale: Callable[[Values], Scale]
    title: Callable[[MediumName, Values], str]


def attention_layer(seen: Attention, phrases: Phrases) -> Layer:
    """The most attended part of each medium has the strongest colour; bars compare the media."""

    def title(medium: MediumName, weights: Values) -> str:
        return phrases.attention_on.format(
            share=share(seen.modalities[medium]), most=number(max(weights, default=0.0))
        )

    return Layer(
        words=[(word.start, word.end, word.weight) for word in seen.text or []],
        cells=seen.image.weights if seen.image else (),
        region=seen.image.region if seen.image else (0, 0, 0, 0),
        moments=[(moment.start, moment.end, moment.weight) for moment in seen.audio or []],
        scale=lambda weights: Scale(tone="attention", most=max(weights, default=0.0) or 1.0),
        title=title,
    )


def drop_layer(found: Occlusion, phrases: Phrases) -> Layer:
    """One scale for all media, as drops can be compared across them."""
    words = [(word.start, word.end, word.drop) for word in found.text or []]
    cells = found.image.drops if found.image else []
    moments = [(moment.start, moment.end, moment.drop) for moment in found.audio or []]
    drops = [*(drop for *_, drop in words), *chain.from_iterable(cells), *(drop for *_, drop in moments)]
    faintest = FAINTEST * abs(1.0 if found.target is not None else found.value)
    scale = Scale(tone="drop", most=max([faintest, *map(abs, drops)]) or 1.0)

    def title(_: MediumName, values: Values) -> str:
        return phrases.drop_of.format(largest=number(max(values, key=abs, default=0.0), signed=True))

    return Layer(
        words=words,
        cells=cells,
        region=found.image.region if found.image else (0, 0, 0, 0),
        moments=moments,
        scale=lambda _: scale,
        title=title,
    )


def draw_layer(layer: Layer, media: Media) -> tuple[Words | None, Heat | None, Track | None]:
    """Over each medium that is there and has values."""
    words = heat = track = None
    if layer.words and media.text:
        values = [value for *_, value in layer.words]
        pieces = pieces_of(media.text, [(start, end) for start, end, _ in layer.words])
        words = Words(
            title=layer.title("text", values),
            scale=layer.scale(values),
            pieces=tuple((piece, None if n is None else values[n]) for piece, n in pieces),
        )
    if layer.cells and media.picture:
        values = list(chain.from_iterable(layer.cells))
        heat = Heat(
            title=layer.title("image", values),
            scale=layer.scale(values),
            values=tuple(map(tuple, layer.cells)),
            region=layer.region,
        )
    if layer.moments and media.wave:
        values = [value for *_, value in layer.moments]
        spans_s = [(start, end) for start, end, _ in layer.moments]
        track = Track(
            title=layer.title("audio", values),
            scale=layer.scale(values),
            values=values_by_column(spans_s, values, media.wave),
        )
    return words, heat, track
