"""What the cache keeps, and that neither a changed file nor a damaged one can make it answer wrongly."""

from __future__ import annotations

import os
import pickle
import sqlite3
import time
from pathlib import Path

import pytest

from triad_serving.contract.errors import ConfigError
from triad_training.data.cache import CACHE_FILE, Cache, Item, read_file

OLD_NS = time.time_ns() - 60 * 10**9


def make_file(path: Path, content: bytes, *, mtime_ns: int = OLD_NS) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def make_cache(folder: Path, *, max_gib: float = 1.0) -> Cache:
    return Cache(folder / "cache", max_gib=max_gib)


def item(digest: bytes, data: bytes = b"pixels", stage: str = "s") -> Item:
    return Item(stage=stage, digest=digest, data=data)


def test_an_item_is_found_again_by_another_cache_on_the_same_folder(tmp_path: Path) -> None:
    _, state = read_file(make_file(tmp_path / "a.png", b"bytes"))
    make_cache(tmp_path).write([state], [item(state.digest)])
    again = make_cache(tmp_path)
    assert again.digest_of(tmp_path / "a.png") == state.digest
    assert again.has("s", state.digest)
    assert again.read("s", state.digest) == b"pixels"
    assert again.read("other stage", state.digest) is None


@pytest.mark.parametrize(
    ("content", "mtime_ns"), [(b"other", OLD_NS + 1), (b"longer bytes", OLD_NS)], ids=["newer", "longer"]
)
def test_a_changed_file_is_not_known(tmp_path: Path, content: bytes, mtime_ns: int) -> None:
    _, state = read_file(make_file(tmp_path / "a.png", b"bytes"))
    cache = make_cache(tmp_path)
    cache.write([state], [])
    make_file(tmp_path / "a.png", content, mtime_ns=mtime_ns)
    assert cache.digest_of(tmp_path / "a.png") is None


def test_a_file_that_was_written_when_it_was_read_is_read_again(tmp_path: Path) -> None:
    """A clock tick may pass between two writes of one size, or not."""
    _, state = read_file(make_file(tmp_path / "a.png", b"bytes", mtime_ns=time.time_ns()))
    cache = make_cache(tmp_path)
    cache.write([state], [])
    assert cache.digest_of(tmp_path / "a.png") is None


def test_a_damaged_item_is_a_missing_one(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    cache.write([], [item(b"1"), item(b"2")])
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE items SET data = ? WHERE digest = ?", (b"pixelz", b"1"))
    assert cache.read("s", b"1") is None
    assert cache.read("s", b"2") == b"pixels"


@pytest.mark.parametrize("broken", [b"no database", b""])
def test_a_damaged_file_is_made_anew(tmp_path: Path, broken: bytes) -> None:
    make_file(tmp_path / CACHE_FILE, broken)
    cache = Cache(tmp_path, max_gib=1)
    assert cache.read("s", b"1") is None
    cache.write([], [item(b"1")])
    assert cache.read("s", b"1") == b"pixels"


def test_past_the_cap_the_stages_of_other_runs_go_then_nothing_more_is_kept(tmp_path: Path) -> None:
    half = bytes(600_000)
    for stage in ("first", "second"):
        earlier = make_cache(tmp_path, max_gib=2**-10)  # 1 MiB
        earlier.use([stage])
        earlier.write([], [item(b"1", half, stage)])
    cache = make_cache(tmp_path, max_gib=2**-10)
    cache.use(["image"])
    cache.use(["audio"])
    cache.write([], [item(b"1", half, "image")])
    assert cache.read("first", b"1") is None
    assert cache.read("second", b"1") == half
    cache.write([], [item(b"1", half, "audio")])
    assert cache.read("second", b"1") is None
    cache.write([], [item(b"2", b"left out", "audio")])
    assert cache.read("audio", b"2") is None
    assert cache.read("image", b"1") == cache.read("audio", b"1") == half


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigError, match=r"data\.cache: .*cache: "):
        make_cache(tmp_path).use(["s"])
    (tmp_path / "folder" / CACHE_FILE).mkdir(parents=True)
    with pytest.raises(ConfigError, match="name another folder"):
        Cache(tmp_path / "folder", max_gib=1).use(["s"])


def test_a_worker_opens_its_own_connection(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    cache.write([], [item(b"1")])
    assert pickle.loads(pickle.dumps(cache)).read("s", b"1") == b"pixels"
    child = os.fork()
    if not child:
        os._exit(0 if cache.read("s", b"1") == b"pixels" and len(cache._connections) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
