"""Records with an entry for each medium, None where absent: one example, and what a model reads of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from triad_serving.contract.arrays import Feed
from triad_serving.contract.errors import ParameterError
from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_serving.media.fields.decode import Fields
from triad_serving.media.fields.spec import FieldsInput, FieldsSpec
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.registry import present
from triad_serving.media.text.spec import TextInput, TextSpec


@dataclass(frozen=True, kw_only=True)
class PreprocessSpec:
    """Everything needed to turn raw media into model inputs; None where the model does not read a medium."""

    text: TextSpec | None
    image: ImageSpec | None
    audio: AudioSpec | None
    fields: FieldsSpec | None = None

    @property
    def media(self) -> tuple[MediumName, ...]:
        return _names(self)

    def of(self, medium: MediumName) -> Any:
        """Its spec, of the type that the medium says. Only of a medium that the model reads."""
        return getattr(self, medium)


@dataclass(frozen=True, kw_only=True)
class RawInputs:
    """One example as a user holds it: a string, the bytes of two files, values by the names of fields."""

    text: str | None = None
    image: bytes | None = None
    audio: bytes | None = None
    fields: Fields | None = None

    @property
    def media(self) -> tuple[MediumName, ...]:
        return _names(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelInputs:
    """One example ready for the graph. Rows of a batch that share an item (by identity) encode it once.

    encoded: of all its media, what the graph's encoders made of them, where they have run already.
    """

    text: TextInput | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None
    fields: FieldsInput | None = None
    encoded: Mapping[MediumName, Feed] = field(default_factory=dict)

    @property
    def media(self) -> tuple[MediumName, ...]:
        return _names(self)

    def of(self, medium: MediumName) -> Any:
        """Its item, of the type that the medium says; None where absent."""
        return getattr(self, medium)

    def having(self, medium: MediumName, item: Any) -> ModelInputs:
        """The same example with another item of one medium; the others stay shared."""
        return replace(self, **{medium: item}, encoded={})

    def only(self, *media: MediumName) -> ModelInputs:
        """The same example with every other medium removed; items stay shared."""
        return ModelInputs(**{medium: getattr(self, medium) for medium in media})


def require_media(raw: RawInputs, spec: PreprocessSpec) -> None:
    """Raises ParameterError where the example holds a medium that the model does not read."""
    for medium in raw.media:
        if medium not in spec.media:
            known = ", ".join(spec.media)
            raise ParameterError(f"This model does not read {medium}; it reads {known}.", field=medium)


def _names(record: object) -> tuple[MediumName, ...]:
    return tuple(medium.name for medium, _ in present(record))
