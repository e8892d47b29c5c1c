"""Bundles on disk: written whole, verified when read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from triad_serving.contract.errors import BundleError, DiskError
from triad_serving.contract.tasks import Decoding, Task
from triad_serving.inference.bundle import BundleManifest, Provenance, find_bundles, read_bundle, write_bundle
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.text.spec import TextSpec

FILES = {"model.onnx": b"not read here", "vocabulary.txt": "seven\n七\n".encode(), "MODEL_CARD.md": b"# Card"}
MANIFEST = BundleManifest(
    name="digits",
    version="3",
    created="2026-11-23T00:00:00Z",
    description="A test.",
    parameters=42,
    preprocess=PreprocessSpec(text=TextSpec(max_tokens=9), image=ImageSpec(), audio=AudioSpec(max_s=2.5)),
    tasks=(
        Task(name="digit", type="classification", labels=("0", "1"), prior=(0.25, 0.75), temperature=1.5),
        Task(name="age", type="regression", prior=(30.0,)),
    ),
    metrics={"test": {"text": {"digit": {"accuracy": 0.5}}}},
    provenance=Provenance(data="Made up.", licence="CC0", intended_use="Tests."),
    training={"seed": 1, "columns": {"text": "sentence"}},
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "models" / "digits" / "3", MANIFEST, FILES).path


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes bundle.json in place."""
    manifest = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
    change(manifest)
    (path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_what_is_written_is_what_is_read(bundle: Path) -> None:
    found = read_bundle(bundle)

    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    assert found.manifest == MANIFEST.model_copy(update={"files": hashes})
    assert found.path == bundle
    assert found.model_path.read_bytes() == FILES["model.onnx"]
    assert found.spec == MANIFEST.preprocess
    assert found.tasks == MANIFEST.tasks
    assert found.assets["text"].files() == {"vocabulary.txt": FILES["vocabulary.txt"]}
    assert {file.name for file in bundle.iterdir()} == {*FILES, "bundle.json"}


def test_a_bundle_that_reads_no_text_needs_no_vocabulary(tmp_path: Path) -> None:
    spec = dataclasses.replace(MANIFEST.preprocess, text=None)
    manifest = MANIFEST.model_copy(update={"preprocess": spec})

    found = write_bundle(tmp_path / "1", manifest, {"model.onnx": b"a"})

    assert "text" not in found.assets
    assert found.spec.media == ("image", "audio")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_refused(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[-1] ^= 1
    (bundle / name).write_bytes(data)

    with pytest.raises(BundleError, match=f"{name} was changed"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()

    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        read_bundle(bundle)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        read_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        read_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_format_version_is_refused(bundle: Path, version: object) -> None:
    edit(bundle, lambda manifest: manifest.update(format_version=version, a_field_of_the_future=1))

    with pytest.raises(BundleError, match="format_version: Input should be 1"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "Invalid JSON"), ("{", "Invalid JSON"), ("[]", "Input should be an object"), ("{}", "name: Field")],
)
def test_a_broken_manifest_is_refused(bundle: Path, text: str, sentence: str) -> None:
    (bundle / "bundle.json").write_text(text)

    with pytest.raises(BundleError, match=sentence):
        read_bundle(bundle)


def test_a_manifest_that_is_no_utf8_is_refused(bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes(b"\xff\xfe{}")

    with pytest.raises(BundleError, match="Invalid JSON"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda manifest: manifest["preprocess"]["text"].update(max_tokens="many"), "max_tokens"),
        (lambda manifest: manifest["tasks"][0].update(type="guessing"), "type"),
        (lambda manifest: manifest.update(tasks=[{}]), "tasks"),
        (lambda manifest: manifest.update(surprise=1), "surprise"),
        (lambda manifest: manifest.update(version="../2"), "version"),
        (lambda manifest: manifest.update(version="1.0"), "version"),
        (lambda manifest: manifest.update(name="../digits"), "name"),
        (lambda manifest: manifest.update(name="Digits"), "name"),
    ],
)
def test_an_impossible_manifest_is_refused_with_the_field(
    bundle: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    edit(bundle, change)

    with pytest.raises(BundleError, match=sentence):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "sub/model.onnx", "..", "", "a\\b", "bundle.json"]
)
def test_a_file_outside_the_bundle_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "secret").write_bytes(b"s")
    edit(bundle, lambda manifest: manifest["files"].update({name: hashlib.sha256(b"s").hexdigest()}))

    with pytest.raises(BundleError, match="not a plain file name"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "vocabulary.txt"])
def test_an_unlisted_file_is_not_trusted(bundle: Path, name: str) -> None:
    edit(bundle, lambda manifest: manifest["files"].pop(name))

    with pytest.raises(BundleError, match=f"does not list {name}"):
        read_bundle(bundle)


@pytest.mark.parametrize("data", [b"\xff\n", b"a\na\n"])
def test_an_impossible_vocabulary_is_refused_whatever_its_hash(bundle: Path, data: bytes) -> None:
    (bundle / "vocabulary.txt").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit(bundle, lambda manifest: manifest["files"].update({"vocabulary.txt": digest}))

    with pytest.raises(BundleError, match="vocabulary"):
        read_bundle(bundle)


def test_a_bundle_is_never_overwritten(bundle: Path) -> None:
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}

    with pytest.raises(BundleError, match="never overwritten"):
        write_bundle(bundle, MANIFEST, {**FILES, "model.onnx": b"other"})
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before


@pytest.mark.parametrize(
    "files",
    [{"n" * 300: b""}, {"vocabulary.txt": b"a\n"}, {"model.onnx": b"a"}],
    ids=["disk refuses", "no model", "no vocabulary"],
)
def test_a_write_that_fails_leaves_no_bundle_and_the_next_is_whole(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    path = tmp_path / "digits" / "1"

    with pytest.raises((BundleError, DiskError)):
        write_bundle(path, MANIFEST, {"left_over.txt": b"x", **files})
    assert list(path.parent.iterdir()) == []
    with pytest.raises(BundleError, match="No bundle"):
        find_bundles(tmp_path)

    write_bundle(path, MANIFEST, FILES)
    assert {file.name for file in path.iterdir()} == {*FILES, "bundle.json"}
    assert [file.name for file in path.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["../model.onnx", "sub/x", "bundle.json"])
def test_a_bundle_is_not_written_outside_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not a plain file name"):
        write_bundle(tmp_path / "digits" / "1", MANIFEST, {**FILES, name: b"x"})
    assert not (tmp_path / "digits" / "model.onnx").exists()


def test_a_transcripts_words_come_with_the_bundle(tmp_path: Path) -> None:
    decoding = Decoding(beam=4, words="words.txt", whole=(0.9, -0.1))
    spoken = Task(name="spoken", type="transcript", labels=("a", "b"), joiner="", decoding=decoding)
    manifest = MANIFEST.model_copy(update={"tasks": (*MANIFEST.tasks, spoken)})
    bundle = write_bundle(tmp_path / "1", manifest, FILES | {"words.txt": b"ab\nb\n"})
    assert bundle.tasks[-1] == spoken
    assert list(bundle.decoders) == ["spoken"]
    with pytest.raises(BundleError, match=r"does not list words\.txt, of spoken"):
        write_bundle(tmp_path / "2", manifest, FILES)
    with pytest.raises(BundleError, match="'c' of 'ac' is no symbol of spoken"):
        write_bundle(tmp_path / "3", manifest, FILES | {"words.txt": b"ac\n"})


def test_bundles_are_found_at_all_three_depths(tmp_path: Path) -> None:
    made = [
        write_bundle(tmp_path / name / version, MANIFEST, FILES).path
        for name, version in (("birds", "1"), ("digits", "2"), ("digits", "10"))
    ]
    shutil.copytree(made[0], tmp_path / "birds" / ".2.partial")

    assert find_bundles(tmp_path) == made
    assert find_bundles(tmp_path / "digits") == made[1:]
    assert find_bundles(made[1]) == [made[1]]


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match="No bundle under"):
            find_bundles(folder)


def test_a_manifest_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        MANIFEST.name = "other"
