"""Bundles travel whole, verified, and over nothing that is there: to a folder, a storage, S3."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typer.testing import CliRunner

from tests.conftest import write_tiny_bundle
from tests.docs.pages import blocks, commands
from tests.triad_serving.inference.test_signature import write_pair
from triad_serving.cli import app
from triad_serving.contract.errors import BundleError, SetupError
from triad_serving.engine.catalog import load_catalog
from triad_serving.inference.bundle import (
    WEIGHTS_FILE,
    find_bundles,
    read_bundle,
    write_bundle,
)
from triad_serving.inference.signature import SIGNATURE_FILE, sign_bundle
from triad_serving.operation.travel import Folder, Stored, Terms, pull_bundles, push_bundle
from triad_serving.settings import Settings

PLAIN = Terms()


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty place for bundles."""
    if request.param == "folder":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    return str(request.getfixturevalue("s3_url"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of moto's server. No botocore works with the python-dateutil that constraints.txt pins:
    `pip install s3fs 'moto[s3,server]'` without it, to run these."""
    why = "S3 needs s3fs and moto[s3,server], see the fixture"
    pytest.importorskip("s3fs", reason=why)
    server = pytest.importorskip("moto.server", reason=why).ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"s3://{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"{bucket}/models"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """With weights, which tiny bundles lack."""
    tiny = read_bundle(write_tiny_bundle(tmp_path / "tiny"))
    files = {name: (tiny.path / name).read_bytes() for name in tiny.manifest.files}
    own = tmp_path / "own" / "tiny" / "1"
    return write_bundle(own, tiny.manifest, files | {WEIGHTS_FILE: b"weights"}).path


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def pull(url: str, folder: Path, terms: Terms = PLAIN) -> list[Path]:
    return list(pull_bundles(url, folder, terms))


def remove(url: str, name: str) -> None:
    files, path = fsspec.url_to_fs(url)
    files.rm_file(f"{path}/{name}")


def overwrite(url: str, name: str, data: bytes) -> None:
    files, path = fsspec.url_to_fs(url)
    files.pipe_file(f"{path}/{name}", data)


def has(url: str, name: str) -> bool:
    files, path = fsspec.url_to_fs(url)
    files.invalidate_cache()
    return bool(files.exists(f"{path}/{name}"))


def test_what_is_pushed_is_pulled_and_served(bundle: Path, store: str, tmp_path: Path) -> None:
    second = write_tiny_bundle(tmp_path / "more", version="2")
    assert push_bundle(bundle, store, PLAIN) == f"{store}/tiny/1"
    push_bundle(second, f"{store}/", PLAIN)
    here = tmp_path / "here"
    assert pull(store, here) == [here / "tiny/1", here / "tiny/2"]
    assert contents(here / "tiny/1") == contents(bundle)
    assert load_catalog(here, Settings(models=here)).versions("tiny") == ["1", "2"]
    assert pull(f"{store}/tiny/2", tmp_path / "one") == [tmp_path / "one/tiny/2"]
    assert pull(f"{store}/tiny", tmp_path / "both") == [tmp_path / "both/tiny/1", tmp_path / "both/tiny/2"]


def test_where_there_is_no_bundle_one_sentence_says_so(store: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No bundle under"):
        pull(store, tmp_path / "here")


def test_the_same_version_again_is_no_error_and_another_one_under_its_name_is(
    bundle: Path, store: str, tmp_path: Path
) -> None:
    other = write_tiny_bundle(tmp_path / "other", description="Another one.")
    address = push_bundle(bundle, store, PLAIN)
    assert push_bundle(bundle, store, PLAIN) == address
    [here] = pull(store, tmp_path / "here")
    assert pull(store, tmp_path / "here") == [here]
    for terms in (PLAIN, Terms(again=True)):
        with pytest.raises(BundleError, match="never overwritten"):
            push_bundle(other, store, terms)
        with pytest.raises(BundleError, match="never overwritten"):
            pull(str(other), tmp_path / "here", terms)
    assert contents(here) == contents(bundle)
    [there] = pull(store, tmp_path / "there")
    assert contents(there) == contents(bundle)


def test_weights_may_stay_behind_and_follow(bundle: Path, store: str, tmp_path: Path) -> None:
    push_bundle(bundle, store, Terms(weights=False))
    [here] = pull(store, tmp_path / "here")
    assert contents(here).keys() == contents(bundle).keys() - {WEIGHTS_FILE}
    assert read_bundle(here).weights_path is None
    assert load_catalog(here, Settings(models=here)).names == ["tiny"]
    push_bundle(bundle, store, Terms(again=True))
    assert pull(store, tmp_path / "here") == [here]
    assert not (here / WEIGHTS_FILE).exists()
    pull(store, tmp_path / "here", Terms(again=True))
    assert read_bundle(here).weights_path == here / WEIGHTS_FILE
    [light] = pull(store, tmp_path / "light", Terms(weights=False))
    assert read_bundle(light).weights_path is None


@pytest.mark.parametrize("name", ["model.onnx", WEIGHTS_FILE])
def test_a_file_that_arrives_changed_or_not_at_all_is_refused_and_nothing_stays(
    bundle: Path, store: str, tmp_path: Path, name: str
) -> None:
    address = push_bundle(bundle, store, PLAIN)
    overwrite(address, name, b"something else")
    with pytest.raises(BundleError, match=f"{name} was changed"):
        pull(store, tmp_path / "here")
    remove(address, "model.onnx")
    with pytest.raises(SetupError, match=r"tiny/1/model\.onnx: ."):
        pull(store, tmp_path / "here")
    assert list((tmp_path / "here" / "tiny").iterdir()) == []


def test_again_repairs_what_is_there(bundle: Path, store: str, tmp_path: Path) -> None:
    address = push_bundle(bundle, store, PLAIN)
    [here] = pull(store, tmp_path / "here")
    (here / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.onnx was changed"):
        pull(store, tmp_path / "here")
    assert pull(store, tmp_path / "here", Terms(again=True)) == [here]
    assert contents(here) == contents(bundle)
    overwrite(address, "model.onnx", b"damaged")
    push_bundle(bundle, store, Terms(again=True))
    assert pull(store, tmp_path / "there") == [tmp_path / "there/tiny/1"]


def test_an_interrupted_pull_leaves_nothing_that_is_served(
    bundle: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_bundle(bundle, store, PLAIN)
    here = tmp_path / "here"
    with monkeypatch.context() as patch:
        for place in (Folder, Stored):
            patch.setattr(place, "fetch", _interrupted(place.fetch, after=2))
        with pytest.raises(KeyboardInterrupt):
            pull(store, here)
    assert list((here / "tiny").iterdir()) == []
    killed = here / "tiny" / ".1.0.partial"  # what SIGKILL would leave at the last moment
    shutil.copytree(bundle, killed)
    with pytest.raises(BundleError, match="No bundle under"):
        find_bundles(here)
    assert pull(store, here) == [here / "tiny/1"]
    assert find_bundles(here) == [here / "tiny/1"]


@pytest.mark.parametrize("store", ["memory", "s3"], indirect=True)
def test_an_interrupted_push_leaves_no_bundle_and_is_taken_up_again(
    bundle: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Stored, "send", _interrupted(Stored.send, after=2))
        with pytest.raises(KeyboardInterrupt):
            push_bundle(bundle, store, PLAIN)
    assert has(f"{store}/tiny/1", "model.onnx")
    with pytest.raises(BundleError, match="No bundle under"):
        pull(store, tmp_path / "here")
    push_bundle(bundle, store, PLAIN)
    [here] = pull(store, tmp_path / "here")
    assert contents(here) == contents(bundle)


def test_a_storage_that_changes_bytes_gets_no_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = type(fsspec.filesystem("memory"))
    real: Callable[..., None] = memory.put_file

    def put_file(self: Any, source: str, to: str, **more: Any) -> None:
        real(self, source, to, **more)
        self.store[self._strip_protocol(to)].truncate(3)

    monkeypatch.setattr(memory, "put_file", put_file)
    store = f"memory://{uuid.uuid4().hex}"
    with pytest.raises(SetupError, match="arrived changed; push it again"):
        push_bundle(bundle, store, PLAIN)
    assert not has(f"{store}/tiny/1", "bundle.json")


@pytest.mark.parametrize("store", ["memory", "s3"], indirect=True)
def test_of_two_that_push_at_once_the_second_is_refused(
    bundle: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's bundle.json comes between the look and the write."""
    other = write_tiny_bundle(tmp_path / "other", description="Another one.")
    push_bundle(other, store, PLAIN)
    monkeypatch.setattr(Stored, "has", lambda self, name: False)
    with pytest.raises(BundleError, match="never overwritten"):
        push_bundle(bundle, store, PLAIN)


def test_only_what_the_key_signed_travels(bundle: Path, store: str, tmp_path: Path) -> None:
    private, public = write_pair(tmp_path)
    strict = Terms(public_key=public)
    with pytest.raises(BundleError, match="is not signed"):
        push_bundle(bundle, store, strict)
    push_bundle(bundle, store, PLAIN)
    with pytest.raises(BundleError, match="is not signed"):
        pull(store, tmp_path / "here", strict)
    sign_bundle(read_bundle(bundle), private)
    push_bundle(bundle, store, Terms(public_key=public, again=True))
    [here] = pull(store, tmp_path / "here", strict)
    assert (here / SIGNATURE_FILE).read_bytes() == (bundle / SIGNATURE_FILE).read_bytes()
    with pytest.raises(BundleError, match="is not by the key"):
        pull(store, tmp_path / "other", Terms(public_key=write_pair(tmp_path, "other")[1]))
    assert list((tmp_path / "other" / "tiny").iterdir()) == []


def test_a_manifest_that_names_files_elsewhere_writes_nothing(
    bundle: Path, store: str, tmp_path: Path
) -> None:
    address = push_bundle(bundle, store, PLAIN)
    manifest = json.loads((bundle / "bundle.json").read_text("utf-8"))
    manifest["files"]["../../outside"] = "0" * 64
    overwrite(address, "bundle.json", json.dumps(manifest).encode())
    with pytest.raises(BundleError, match=r"'\.\./\.\./outside' is not a plain file name"):
        pull(store, tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [("gs://b", "^gs://b/tiny/1: Please install gcsfs"), ("nothing://b", "^nothing://b/tiny/1: .*nothing")],
)
def test_a_storage_that_cannot_be_reached_is_one_sentence(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, url: str, sentence: str
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(SetupError, match=sentence):
        push_bundle(bundle, url, PLAIN)


def test_a_bucket_that_is_not_there_is_not_made(bundle: Path, s3_url: str) -> None:
    missing = f"s3://{uuid.uuid4().hex}"
    with pytest.raises(SetupError, match=f"^{missing}/models/tiny/1/model.onnx: .*bucket"):
        push_bundle(bundle, f"{missing}/models", PLAIN)
    assert not fsspec.filesystem("s3").exists(missing)


def test_without_the_extra_folders_work_and_urls_say_what_to_install(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    push_bundle(bundle, f"file://{tmp_path}/store", PLAIN)
    assert pull(str(tmp_path / "store"), tmp_path / "here") == [tmp_path / "here/tiny/1"]
    with pytest.raises(SetupError, match=r"pip install triad-serving\[remote\]"):
        push_bundle(bundle, "s3://bucket", PLAIN)


def test_the_commands_of_the_operators_page(
    bundle: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a service that was told a key."""
    private, public = write_pair(tmp_path)
    monkeypatch.setenv("TRIAD_BUNDLE_PUBLIC_KEY", str(public))
    [block] = [each for each in blocks("operate.md", "console") if "triad push" in each]
    names = {"models/tickets/1": str(bundle), "models": str(tmp_path / "here")}
    push, *pulls = (
        [
            names.get(word) or word.replace("s3://models/shop", store).replace("tickets", "tiny")
            for word in words
        ]
        for words in (command.words[1:] for command in commands(block))
    )
    assert isinstance(CliRunner().invoke(app, push).exception, BundleError)
    sign_bundle(read_bundle(bundle), private)
    assert CliRunner().invoke(app, push).stdout == f"{store}/tiny/1\n"
    for command in pulls:
        assert CliRunner().invoke(app, command).stdout == f"{tmp_path / 'here/tiny/1'}\n"
    light = [*pulls[-1][:-2], str(tmp_path / "light"), pulls[-1][-1]]
    assert CliRunner().invoke(app, light).exit_code == 0
    assert read_bundle(tmp_path / "light/tiny/1").weights_path is None


def _interrupted(real: Callable[..., None], *, after: int) -> Callable[..., None]:
    """As Ctrl-C after so many files."""
    done: list[object] = []

    def interrupted(*arguments: object) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(arguments)
        real(*arguments)

    return interrupted
