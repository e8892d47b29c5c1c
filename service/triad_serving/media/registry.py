"""Every medium, in the order of the contract. The one list to add a medium to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.medium import AUDIO
from triad_serving.media.fields.medium import FIELDS
from triad_serving.media.image.medium import IMAGE
from triad_serving.media.medium import AnyMedium
from triad_serving.media.text.medium import TEXT

MEDIA: tuple[AnyMedium, ...] = (TEXT, IMAGE, AUDIO, FIELDS)
TRANSCRIBED = AUDIO  # of the name HEARD
NAMES: tuple[MediumName, ...] = tuple(medium.name for medium in MEDIA)


def present(record: object) -> Iterator[tuple[AnyMedium, Any]]:
    """Each medium that a record of example.py has, with its entry."""
    for medium in MEDIA:
        entry = getattr(record, medium.name)
        if entry is not None:
            yield medium, entry


def by_name(name: MediumName) -> AnyMedium:
    return MEDIA[NAMES.index(name)]
