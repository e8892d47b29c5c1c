"""Where a source lies, and in which format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_training.media.pretrained.efficientnet import describes_efficientnet

Format: TypeAlias = Literal["hugging_face", "efficientnet"]

BUNDLED = (
    "_encoder.json"  # behind a medium's name: a bundle's file that says what the network is, without weights
)


@dataclass(frozen=True, kw_only=True)
class Location:
    """place: a path, or a name on the Hugging Face hub."""

    format: Format
    place: str


def locate(source: str, medium: MediumName) -> Location:
    """A file or folder, else a name on the hub. Raises ConfigError."""
    path = Path(source)
    if not path.exists():
        return Location(format="hugging_face", place=source)
    format_ = _format(path)
    if format_ == "efficientnet" and medium != "image":
        raise ConfigError(f"model.{medium}_encoder.source: {source} is no folder in the Hugging Face format.")
    return Location(format=format_, place=source)


def in_bundle(source: str) -> bool:
    """Whether it is a file of a bundle, without weights."""
    return source.endswith(BUNDLED)


def _format(path: Path) -> Format:
    if path.is_dir():
        return "hugging_face"
    if in_bundle(path.name):
        return "efficientnet" if describes_efficientnet(path) else "hugging_face"
    return "efficientnet"
