"""Bundles travel: to and from a folder, and every storage that fsspec reaches (s3://, gs://, memory:// ...).

    push   BUNDLE                       -> URL/NAME/VERSION
    pull   URL, every bundle under it   -> FOLDER/NAME/VERSION

A bundle is where its bundle.json is. In a folder it appears by one rename of a hidden sibling, once all of it
was verified; a storage cannot rename, so there bundle.json is written last, after all else was read back.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import BundleError, SetupError, TriadError
from triad_serving.inference.bundle import (
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Bundle,
    find_bundles,
    parse_manifest,
    read_bundle,
)
from triad_serving.inference.signature import SIGNATURE_FILE, check_signature


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How bundles travel.

    public_key: only those that its other half signed. weights: with what training goes on from; serving needs
    none. again: a version that is there already is written once more, where its bundle.json is the same: to
    repair it, to add the weights or a signature. A version with another bundle.json is never touched.
    """

    public_key: Path | None = None
    weights: bool = True
    again: bool = False


def push_bundle(path: Path, url: str, terms: Terms) -> str:
    """Where it is now. Raises BundleError, SetupError where the storage cannot be reached, DiskError."""
    bundle = _check(path, terms)
    folder = _local(url)
    if folder is not None:
        return str(_receive(Folder(path), folder, terms))
    return _send(bundle, url, terms)


def pull_bundles(url: str, folder: Path, terms: Terms) -> Iterator[Path]:
    """Where each is now. Raises BundleError, SetupError where the storage cannot be reached, DiskError."""
    source = _local(url)
    found = _find_stored(url) if source is None else [Folder(each) for each in find_bundles(source)]
    for place in found:
        yield _receive(place, folder, terms)


class Place(Protocol):
    """Where the files of one bundle are."""

    @property
    def address(self) -> str: ...

    def has(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes: ...

    def fetch(self, name: str, to: Path) -> None: ...


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def address(self) -> str:
        return str(self.path)

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def read(self, name: str) -> bytes:
        with _reaching(f"{self.address}/{name}"):
            return (self.path / name).read_bytes()

    def fetch(self, name: str, to: Path) -> None:
        with _reaching(f"{self.address}/{name}"):
            source = (self.path / name).open("rb")
        with source, to.open("wb") as file:
            shutil.copyfileobj(source, file)


@dataclass(frozen=True)
class Stored:
    """In a storage; `files` is a file system of fsspec, which has no types."""

    files: Any
    path: str
    address: str

    def has(self, name: str) -> bool:
        with _reaching(f"{self.address}/{name}"):
            try:
                self.files.info(f"{self.path}/{name}")
            except FileNotFoundError:
                return False
            return True

    def read(self, name: str) -> bytes:
        with _reaching(f"{self.address}/{name}"):
            data: bytes = self.files.cat_file(f"{self.path}/{name}")
            return data

    def fetch(self, name: str, to: Path) -> None:
        with _reaching(f"{self.address}/{name}"):
            self.files.get_file(f"{self.path}/{name}", str(to))

    def send(self, name: str, source: Path) -> None:
        with _reaching(f"{self.address}/{name}"):
            self.files.put_file(str(source), f"{self.path}/{name}")

    def publish(self, manifest: bytes, *, again: bool) -> None:
        """Writes bundle.json. Raises BundleError where one has come meanwhile; S3 makes sure of that."""
        with _reaching(self.address):
            try:
                self.files.pipe_file(
                    f"{self.path}/{MANIFEST_FILE}", manifest, mode="overwrite" if again else "create"
                )
            except FileExistsError as error:
                raise _taken(self.address) from error

    def sha256(self, name: str) -> str:
        with _reaching(f"{self.address}/{name}"), self.files.open(f"{self.path}/{name}", "rb") as file:
            return _sha256(file)


def _receive(source: Place, folder: Path, terms: Terms) -> Path:
    """Folder/NAME/VERSION, whole and verified, or nothing."""
    if not source.has(MANIFEST_FILE):
        raise BundleError(f"No bundle at {source.address}: no {MANIFEST_FILE}.")
    found = source.read(MANIFEST_FILE)
    manifest = parse_manifest(found, source.address)
    path = folder / manifest.name / manifest.version
    if path.exists():
        _require_same(path, found)
        if not terms.again:
            return _check(path, terms).path
    names = list(manifest.files)
    if WEIGHTS_FILE in names and not (terms.weights and source.has(WEIGHTS_FILE)):
        names.remove(WEIGHTS_FILE)
    if source.has(SIGNATURE_FILE):
        names.append(SIGNATURE_FILE)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    with writing(partial):
        partial.mkdir(parents=True)
        for name in names:
            source.fetch(name, partial / name)
        (partial / MANIFEST_FILE).write_bytes(found)
        _check(partial, terms)
        _place(partial, path, found)
    return path


def _place(partial: Path, path: Path, manifest: bytes) -> None:
    """By one rename; file by file where this version is there already, or was put there meanwhile."""
    try:
        partial.rename(path)
    except OSError:
        if not path.exists():
            raise
        _require_same(path, manifest)
        for file in partial.iterdir():
            file.replace(path / file.name)
        partial.rmdir()


def _send(bundle: Bundle, url: str, terms: Terms) -> str:
    manifest = (bundle.path / MANIFEST_FILE).read_bytes()
    place = _open(f"{url.rstrip('/')}/{bundle.manifest.name}/{bundle.manifest.version}")
    there = place.has(MANIFEST_FILE)
    if there and place.read(MANIFEST_FILE) != manifest:
        raise _taken(place.address)
    if there and not terms.again:
        return place.address
    left = set() if terms.weights else {WEIGHTS_FILE}
    for name in sorted({*bundle.manifest.files, SIGNATURE_FILE} - left):
        source = bundle.path / name
        if source.exists():  # only weights and the signature may be missing
            place.send(name, source)
            with source.open("rb") as file:
                if place.sha256(name) != _sha256(file):
                    raise SetupError(f"{place.address}: {name} arrived changed; push it again.")
    place.publish(manifest, again=there)
    return place.address


def _check(path: Path, terms: Terms) -> Bundle:
    """Raises BundleError where a file is not as bundle.json says, or the signature is missing or wrong."""
    bundle = read_bundle(path)
    if terms.public_key is not None:
        check_signature(bundle, terms.public_key)
    return bundle


def _require_same(path: Path, manifest: bytes) -> None:
    try:
        same = (path / MANIFEST_FILE).read_bytes() == manifest
    except OSError as error:
        raise BundleError(f"{path} exists and is no bundle: {error.strerror}.") from error
    if not same:
        raise _taken(str(path))


def _taken(address: str) -> BundleError:
    return BundleError(f"{address} exists with another {MANIFEST_FILE}; a version is never overwritten.")


def _local(url: str) -> Path | None:
    """The folder that it names; None where it is in a storage."""
    path = url.removeprefix("file://")
    return None if "://" in path else Path(path)


def _find_stored(url: str) -> list[Stored]:
    """As find_bundles finds them in a folder."""
    root = _open(url)
    if root.has(MANIFEST_FILE):
        return [root]
    for pattern in ("*", "*/*"):
        with _reaching(url):
            paths = [
                path.rpartition("/")[0] for path in root.files.glob(f"{root.path}/{pattern}/{MANIFEST_FILE}")
            ]
        shown = [path for path in paths if not path.rpartition("/")[2].startswith(".")]
        if shown:
            return [Stored(root.files, path, root.files.unstrip_protocol(path)) for path in sorted(shown)]
    raise BundleError(f"No bundle under {url}: no {MANIFEST_FILE} in it, in */ or in */*/.")


def _open(url: str) -> Stored:
    with _reaching(url):
        import fsspec

        files, path = fsspec.url_to_fs(url)
    return Stored(files, path.rstrip("/"), url)


@contextmanager
def _reaching(address: str) -> Iterator[None]:
    try:
        yield
    except TriadError:
        raise
    except ImportError as error:  # of fsspec, or by it of the storage's own library
        raise SetupError(f"{address}: {error} (pip install triad-serving[remote]: fsspec, s3fs).") from error
    except Exception as error:  # whatever that library raises: fsspec's file systems share no base of errors
        raise SetupError(f"{address}: {error or type(error).__name__}.") from error


def _sha256(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
