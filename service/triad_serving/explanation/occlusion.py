"""The parts of an example that can be hidden from the model, one at a time, and the example without each.

A part is some tokens of one medium: words, cells of the image's grid, moments of the sound. Where there are
more tokens than a request may hide, neighbours are hidden together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.line import parts_along
from triad_serving.media.medium import Part
from triad_serving.media.registry import TRANSCRIBED, by_name, present
from triad_serving.media.windows import Window


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Everything that is hidden of an example, medium by medium."""

    parts: tuple[Part, ...]

    def of(self, medium: MediumName) -> list[tuple[int, Part]]:
        """With their places among all."""
        return [(n, part) for n, part in enumerate(self.parts) if part.medium == medium]


def parts_of(
    inputs: ModelInputs, spec: PreprocessSpec, *, most: int, windows: Sequence[Window] = ()
) -> Parts:
    """most: parts of one medium. windows: of the recording, where one is read so."""
    found: list[Part] = []
    for medium, item in present(inputs):
        if windows and medium.name == TRANSCRIBED.name:
            found += parts_along(medium.name, windows[-1].first + windows[-1].kept.stop, most)
        else:
            found += medium.parts(item, spec.of(medium.name), most=most)
    return Parts(parts=tuple(found))


def hide(inputs: ModelInputs, parts: Sequence[Part], spec: PreprocessSpec) -> ModelInputs:
    """The example without some parts; a medium that keeps all its own is shared, so that it is encoded once.

    A medium of which nothing is left is absent then.
    """
    items: dict[MediumName, Any] = {}
    for medium, item in present(inputs):
        hidden = [part for part in parts if part.medium == medium.name]
        items[medium.name] = medium.hide(item, hidden, spec.of(medium.name)) if hidden else item
    return ModelInputs(**items)


def total(weights: F32, part: Part, spec: PreprocessSpec) -> float:
    """Sum of a medium's weights (by token) over a part."""
    return by_name(part.medium).weight(weights, part, spec.of(part.medium))
