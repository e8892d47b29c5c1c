"""A bundle: the folder models/<name>/<version>/ that holds a model and every fact needed to serve it.

    model.onnx  bundle.json  vocabulary.txt (where the model reads text)  MODEL_CARD.md

bundle.json names the SHA-256 of every other file. Nothing in a bundle is code or pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.contract import PreprocessSpec, Task
from service.errors import BundleError
from service.preprocess.text import Vocabulary

FORMAT_VERSION: Literal[1] = 1
MANIFEST_FILE, MODEL_FILE, VOCABULARY_FILE, CARD_FILE = (
    "bundle.json",
    "model.onnx",
    "vocabulary.txt",
    "MODEL_CARD.md",
)


class Provenance(BaseModel):
    """Where the training data came from and what may be done with the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = Field(default="", description="What the model was trained on, with attribution.")
    licence: str = Field(default="", description="Licence of the weights.")
    intended_use: str = Field(default="", description="What the model is for, and what it is not for.")


class BundleManifest(BaseModel):
    """bundle.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(pattern=r"^[0-9]+$")
    created: str = Field(description="ISO 8601, UTC.")
    description: str = ""
    parameters: int = Field(description="Weights in the network.")
    preprocess: PreprocessSpec
    tasks: tuple[Task, ...] = Field(min_length=1)
    metrics: dict[str, dict[str, dict[str, dict[str, float]]]] = Field(
        default_factory=dict, description="split -> subset of media -> task -> score -> value"
    )
    provenance: Provenance = Provenance()
    training: dict[str, Any] = Field(default_factory=dict, description="The TrainConfig that made it.")
    files: dict[str, str] = Field(default_factory=dict, description="File name -> SHA-256.")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: BundleManifest
    vocabulary: Vocabulary | None

    @property
    def model_path(self) -> Path:
        return self.path / MODEL_FILE

    @property
    def spec(self) -> PreprocessSpec:
        return self.manifest.preprocess

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.manifest.tasks


def read_bundle(path: Path) -> Bundle:
    """Reads and verifies a bundle. Raises BundleError with one sentence that says what is wrong."""
    manifest = _read_manifest(path)
    if MODEL_FILE not in manifest.files:
        raise BundleError(f"Bundle {path}: {MANIFEST_FILE} does not list {MODEL_FILE}.")
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise BundleError(f"Bundle {path}: {name!r} is not a plain file name.")
        try:
            found = _sha256(path / name)
        except OSError as error:
            raise BundleError(f"Bundle {path}: {name} cannot be read ({error.strerror}).") from error
        if found != expected:
            raise BundleError(f"Bundle {path}: {name} was changed (SHA-256 {found}, expected {expected}).")
    vocabulary = None
    if manifest.preprocess.text is not None:
        if VOCABULARY_FILE not in manifest.files:
            raise BundleError(f"Bundle {path}: {MANIFEST_FILE} does not list {VOCABULARY_FILE}.")
        vocabulary = Vocabulary.read(path / VOCABULARY_FILE)
    return Bundle(path=path, manifest=manifest, vocabulary=vocabulary)


def write_bundle(path: Path, manifest: BundleManifest, files: Mapping[str, bytes]) -> Bundle:
    """Writes a bundle whole or not at all: a hidden sibling folder first, renamed when complete.

    Raises BundleError where `path` exists.
    """
    if path.exists():
        raise BundleError(f"{path} exists; a bundle is never overwritten.")
    complete = manifest.model_copy(update={"files": {name: _digest(data) for name, data in files.items()}})
    partial = path.with_name(f".{path.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (partial / name).write_bytes(data)
    (partial / MANIFEST_FILE).write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.rename(path)
    return read_bundle(path)


def find_bundles(path: Path) -> list[Path]:
    """Bundle folders under `path`: itself, its versions, or models/<name>/<version>, sorted.

    Raises BundleError where there is none.
    """
    for pattern in (MANIFEST_FILE, f"*/{MANIFEST_FILE}", f"*/*/{MANIFEST_FILE}"):
        found = sorted(file.parent for file in path.glob(pattern) if not file.parent.name.startswith("."))
        if found:
            return found
    raise BundleError(f"No bundle under {path}: no {MANIFEST_FILE} in it, in */ or in */*/.")


def _read_manifest(path: Path) -> BundleManifest:
    try:
        text = (path / MANIFEST_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"Bundle {path}: {MANIFEST_FILE} cannot be read ({error}).") from error
    try:
        return BundleManifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or MANIFEST_FILE
        raise BundleError(f"Bundle {path}: {MANIFEST_FILE}: {where}: {first['msg']}.") from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
