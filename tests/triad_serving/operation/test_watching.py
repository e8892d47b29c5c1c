"""Looking at the models folder: when it says that something has changed."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from tests.conftest import write_tiny_bundle
from triad_serving.operation import watching as watching_module
from triad_serving.operation.watching import Seen, look, watching
from triad_serving.settings import Settings

LIMIT_S = 10.0


def test_a_look_sees_new_changed_and_lost_files(tmp_path: Path) -> None:
    assert look(tmp_path) == frozenset()
    bundle = write_tiny_bundle(tmp_path)
    first = look(tmp_path)
    assert {file.name for file, _, _ in first} == {"bundle.json", "model.onnx", "vocabulary.txt"}
    assert look(tmp_path) == first
    (bundle / "model.onnx").write_bytes(b"x")
    changed = look(tmp_path)
    assert changed != first
    (bundle / "model.onnx").unlink()
    assert len(look(tmp_path)) == 2


def test_a_change_is_told_once_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder as each look finds it: a bundle is copied in, file by file."""
    file = tmp_path / "model.onnx"
    looks: list[Seen] = [frozenset({(file, 1, size)}) for size in (1, 1, 2, 3, 3, 3)]
    seen: queue.SimpleQueue[int] = queue.SimpleQueue()
    told: list[int] = []

    def next_look(_: Path) -> Seen:
        seen.put(len(looks))
        return looks.pop(0) if len(looks) > 1 else looks[0]

    monkeypatch.setattr(watching_module, "look", next_look)
    settings = Settings(models=tmp_path, watch_s=0.001)
    with watching(settings, lambda: told.append(len(looks))):
        while seen.get(timeout=LIMIT_S) > 1 or seen.get(timeout=LIMIT_S) > 1:
            pass
    assert told == [1]


def test_nobody_looks_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(watching_module, "look", looked.append)
    with watching(Settings(models=tmp_path), lambda: None):
        pass
    assert looked == []
