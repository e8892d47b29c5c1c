"""A bundle: the folder models/<name>/<version>/ that holds a model and every fact needed to serve it.

    model.onnx  bundle.json  vocabulary.txt (where the model reads text)  MODEL_CARD.md
    model.int8.onnx (the same with 8-bit weights, which a CPU runs where it is faster)
    tokenizer.json (in place of the vocabulary, with a pretrained text encoder)
    whatever a transcript's Decoding names: its words, one a line, and its n-grams
    MEDIUM_encoder.json MEDIUM_processor.json (what builds a pretrained encoder again; not served)
    weights.safetensors (the network that the graph was made of: to train on, prune or distil; not served, and
    may be left behind)

bundle.json names the SHA-256 of every other file. Nothing in a bundle is code or pickle.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triad_serving.contract.device import Precision
from triad_serving.contract.disk import writing
from triad_serving.contract.errors import BundleError
from triad_serving.contract.tasks import Task
from triad_serving.inference.transcribe.decoder import Decoder
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.medium import Assets
from triad_serving.media.registry import present

FORMAT_VERSION: Literal[1] = 1
INT8_FILE = "model.int8.onnx"
MANIFEST_FILE, MODEL_FILE, WEIGHTS_FILE, CARD_FILE = (
    "bundle.json",
    "model.onnx",
    "weights.safetensors",
    "MODEL_CARD.md",
)
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Provenance(BaseModel):
    """Where the training data came from and what may be done with the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = Field(default="", description="What the model was trained on, with attribution.")
    licence: str = Field(default="", description="Licence of the weights.")
    intended_use: str = Field(default="", description="What the model is for, and what it is not for.")


class Compression(BaseModel):
    """What `triad compress` did to another bundle, and what it measured against it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    original: str = Field(description="Name and version of the bundle that it was made of.")
    original_sha256: str = Field(description="Of that bundle's model.onnx.")
    steps: tuple[str, ...]
    size: float = Field(description="Of the graph, as a share of the original's.")
    speed: dict[str, float] = Field(description="Subset of media -> how many times as fast, on one thread.")
    difference: dict[str, float] = Field(description="Task -> largest distance from the original's answers.")
    drop: float | None = Field(description="Points lost in the worst subset and task, where any counts.")


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
    tasks: tuple[Task, ...] = Field(description="None: it only embeds.")
    metrics: dict[str, dict[str, dict[str, dict[str, float]]]] = Field(
        default_factory=dict, description="split -> subset of media -> task -> score -> value"
    )
    intervals: dict[str, dict[str, dict[str, dict[str, tuple[float, float]]]]] = Field(
        default_factory=dict, description="Likewise, of main scores: the ends of the 95 % interval."
    )
    linear: dict[str, dict[str, dict[str, float]]] = Field(
        default_factory=dict,
        description="Of linear models on the test split: subset of media -> task -> score -> value.",
    )
    over_linear: dict[str, tuple[float, float, float]] = Field(
        default_factory=dict,
        description="Task -> how much better its main score is than theirs, all media of each test row, and "
        "the ends of the 95 % interval.",
    )
    retrieval: dict[str, dict[str, dict[str, dict[str, float]]]] = Field(
        default_factory=dict,
        description="Search between media, where training aligned them: split -> direction -> what counts as "
        "found, the same row or the same label of a task -> score -> value.",
    )
    provenance: Provenance = Provenance()
    training: dict[str, Any] = Field(default_factory=dict, description="The TrainConfig that made it.")
    compression: Compression | None = None
    int8: Compression | None = Field(default=None, description="Of model.int8.onnx, against model.onnx.")
    files: dict[str, str] = Field(default_factory=dict, description="File name -> SHA-256.")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle on disk. assets: what its other files hold for the media.

    decoders: of its transcripts, by task.
    """

    path: Path
    manifest: BundleManifest
    assets: Assets
    decoders: Mapping[str, Decoder] = field(default_factory=dict)

    @property
    def model_path(self) -> Path:
        return self.path / MODEL_FILE

    @property
    def weights_path(self) -> Path | None:
        """None where it never had any, or where they were left behind."""
        path = self.path / WEIGHTS_FILE
        return path if WEIGHTS_FILE in self.manifest.files and path.exists() else None

    @property
    def int8_path(self) -> Path | None:
        return self.path / INT8_FILE if self.manifest.int8 is not None else None

    @property
    def precision(self) -> Precision:
        """Of model.onnx."""
        steps = self.manifest.compression.steps if self.manifest.compression else ()
        if "fp16" in steps:
            return "half"
        return "int8" if any(step.startswith("int8") for step in steps) else "single"

    @property
    def searches(self) -> bool:
        """Whether putting an answer together takes milliseconds."""
        return any(decoder.searches for decoder in self.decoders.values())

    @property
    def spec(self) -> PreprocessSpec:
        return self.manifest.preprocess

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.manifest.tasks


def read_bundle(path: Path) -> Bundle:
    """Reads and verifies a bundle. Raises BundleError with one sentence that says what is wrong."""
    try:
        manifest = parse_manifest((path / MANIFEST_FILE).read_bytes(), str(path))
    except OSError as error:
        raise BundleError(f"Bundle {path}: {MANIFEST_FILE} cannot be read ({error}).") from error
    for name, expected in manifest.files.items():
        try:
            found = _sha256(path / name)
        except OSError as error:
            if name == WEIGHTS_FILE and isinstance(error, FileNotFoundError):
                continue
            raise BundleError(f"Bundle {path}: {name} cannot be read ({error.strerror}).") from error
        if found != expected:
            raise BundleError(f"Bundle {path}: {name} was changed (SHA-256 {found}, expected {expected}).")
    assets = {
        medium.name: medium.open_asset(path, manifest.files) for medium, _ in present(manifest.preprocess)
    }
    decoders = {task.name: Decoder.open(task, path) for task in manifest.tasks if task.type == "transcript"}
    return Bundle(path=path, manifest=manifest, assets=assets, decoders=decoders)


def parse_manifest(data: bytes, where: str) -> BundleManifest:
    """bundle.json. where: for the message. Raises BundleError with one sentence that says what is wrong."""
    try:
        manifest = BundleManifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or MANIFEST_FILE
        raise BundleError(f"Bundle {where}: {MANIFEST_FILE}: {field}: {first['msg']}.") from error
    if MODEL_FILE not in manifest.files:
        raise BundleError(f"Bundle {where}: {MANIFEST_FILE} does not list {MODEL_FILE}.")
    if manifest.int8 is not None and INT8_FILE not in manifest.files:
        raise BundleError(f"Bundle {where}: {MANIFEST_FILE} does not list {INT8_FILE}.")
    for name in manifest.files:
        _require_plain_name(name, where)
    for task in manifest.tasks:
        for name in (task.decoding.words, task.decoding.ngrams) if task.decoding else ():
            if name and name not in manifest.files:
                raise BundleError(f"Bundle {where}: {MANIFEST_FILE} does not list {name}, of {task.name}.")
    return manifest


def write_bundle(path: Path, manifest: BundleManifest, files: Mapping[str, bytes]) -> Bundle:
    """Writes a bundle whole or not at all: a hidden sibling folder first, renamed when complete.

    Raises BundleError where `path` exists, or where what was written could not be read back, DiskError.
    """
    if path.exists():
        raise BundleError(f"{path} exists; a bundle is never overwritten.")
    for name in files:
        _require_plain_name(name, str(path))
    complete = manifest.model_copy(update={"files": {name: _digest(data) for name, data in files.items()}})
    partial = path.with_name(f".{path.name}.partial")
    if partial.exists():  # left by a write that was cut short
        shutil.rmtree(partial)
    with writing(partial):
        partial.mkdir(parents=True)
        for name, data in files.items():
            (partial / name).write_bytes(data)
        (partial / MANIFEST_FILE).write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
        bundle = read_bundle(partial)
        partial.rename(path)
    return replace(bundle, path=path)


def find_bundles(path: Path) -> list[Path]:
    """Bundle folders under `path`: itself, its versions, or models/<name>/<version>.

    Sorted by name, then by version as a number.
    Raises BundleError where there is none.
    """
    for pattern in (MANIFEST_FILE, f"*/{MANIFEST_FILE}", f"*/*/{MANIFEST_FILE}"):
        found = [file.parent for file in path.glob(pattern) if not file.parent.name.startswith(".")]
        if found:
            return sorted(found, key=_by_version)
    raise BundleError(f"No bundle under {path}: no {MANIFEST_FILE} in it, in */ or in */*/.")


def _require_plain_name(name: str, where: str) -> None:
    if not PLAIN_NAME.fullmatch(name) or name == MANIFEST_FILE:
        raise BundleError(f"Bundle {where}: {name!r} is not a plain file name.")


def _by_version(path: Path) -> tuple[Path, int, str]:
    return path.parent, int(path.name) if path.name.isdecimal() else 0, path.name


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
