"""Every medium as training knows it, in the order of the contract. The one list to add a medium to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from triad_serving.contract.outputs import MediumName
from triad_training.media.audio.medium import AUDIO
from triad_training.media.fields.medium import FIELDS
from triad_training.media.image.medium import IMAGE
from triad_training.media.medium import AnyTrainingMedium
from triad_training.media.text.medium import TEXT

MEDIA: tuple[AnyTrainingMedium, ...] = (TEXT, IMAGE, AUDIO, FIELDS)


def by_name(name: MediumName) -> AnyTrainingMedium:
    return next(medium for medium in MEDIA if medium.serving.name == name)


def present(record: object) -> Iterator[tuple[AnyTrainingMedium, Any]]:
    """Each medium that a record with an entry for each has, with its entry."""
    for medium in MEDIA:
        entry = getattr(record, medium.serving.name)
        if entry is not None:
            yield medium, entry
