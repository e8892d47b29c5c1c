"""One example: the bytes of its media to the graph's inputs, for the service and the trainer alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from triad_serving.contract.outputs import MediumName
from triad_serving.media.example import ModelInputs, PreprocessSpec, RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.medium import Assets
from triad_serving.media.registry import TRANSCRIBED, present
from triad_serving.media.windows import Window


class Augment(Protocol):
    """What training does between the two halves of preprocessing."""

    def __call__(self, medium: MediumName, decoded: Any) -> Any:
        """Another of the same type; whether it changes this medium at all is its affair."""
        ...


def preprocess(
    raw: RawInputs,
    spec: PreprocessSpec,
    assets: Assets,
    limits: MediaLimits,
    *,
    augment: Augment | None = None,
) -> ModelInputs:
    """Decodes every medium completely, and fits it to the spec; a medium that the spec lacks is left out.

    Raises TooLargeError, UnsupportedFormatError, DecodeError, ParameterError.
    """
    items: dict[MediumName, Any] = {}
    for medium, own in present(spec):
        sent, asset = getattr(raw, medium.name), assets.get(medium.name)
        if sent is None:
            continue
        if augment is None:
            items[medium.name] = medium.read(sent, own, asset, limits)
        else:
            decoded = augment(medium.name, medium.decode(sent, own, asset, limits))
            items[medium.name] = medium.fit(decoded, own, asset)
    return ModelInputs(**items)


def preprocess_whole(
    raw: RawInputs, spec: PreprocessSpec, assets: Assets, limits: MediaLimits
) -> tuple[ModelInputs, Sequence[Window]]:
    """As `preprocess`, and all windows of what is transcribed, none where one is enough. The inputs have the
    first.
    """
    sent = getattr(raw, TRANSCRIBED.name)
    if sent is None:
        return preprocess(raw, spec, assets, limits), ()
    rest = preprocess(dataclasses.replace(raw, **{TRANSCRIBED.name: None}), spec, assets, limits)
    windows = TRANSCRIBED.read_windows(sent, spec.of(TRANSCRIBED.name), limits)
    return rest.having(TRANSCRIBED.name, windows[0].item), windows if len(windows) > 1 else ()
