"""The sections [model.text_encoder], [model.image_encoder] and [model.audio_encoder] of a training config."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from triad_training.media.section import Section


class PretrainedConfig(Section):
    """An encoder that others have trained, in place of one that begins from nothing: for few examples."""

    source: str = Field(
        min_length=1,
        description="A file or folder, relative to the config file, or a name: in a package or on the hub.",
    )
    tune: Literal["frozen", "all", "lora"] | Annotated[int, Field(strict=True, ge=1)] = Field(
        default="frozen",
        description="frozen, all, how many of its top layers learn, or lora: low-rank changes of all layers.",
    )
    rank: int = Field(default=8, ge=1, description="Of lora's changes.")
    learning_rate: float = Field(default=2e-5, gt=0, description="Peak, of its top layer.")
    layer_decay: float = Field(default=0.9, gt=0, le=1, description="Factor on it per layer further down.")


class PretrainedImageConfig(PretrainedConfig):
    size: int = Field(default=0, ge=0, description="Side of the square it reads, pixels; 0: the source's.")
