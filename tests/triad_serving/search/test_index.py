"""An index of made-up vectors: the closest rows, conditions, changes, folding, several processes' views."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import (
    DiskError,
    ForbiddenError,
    IndexRefusedError,
    OverloadedError,
    ParameterError,
    SetupError,
)
from triad_serving.inference.bundle import read_bundle
from triad_serving.search import index as index_module
from triad_serving.search import store as store_module
from triad_serving.search import vectors as vectors_module
from triad_serving.search.conditions import read_condition
from triad_serving.search.index import Hit, Index, Query, fold
from triad_serving.search.store import About, NewRow, Store

WIDTH = 16
ABOUT = About(
    bundle="",
    model="tiny",
    version="1",
    graph="0" * 64,
    parts=("text", "image", "fused"),
    width=WIDTH,
    columns={"shop": "string", "age": "number"},
    table="0" * 64,
    options={},
)


def unit_vectors(count: int, seed: int = 0) -> F32:
    vectors_ND = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    normalised: F32 = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return normalised


VECTORS_ND = unit_vectors(60)


def row(n: int, **more: Any) -> NewRow:
    """Row n has a text vector, where n is even an image vector."""
    vectors = {"text": VECTORS_ND[n], "fused": VECTORS_ND[n]}
    if n % 2 == 0:
        vectors["image"] = VECTORS_ND[(n + 1) % 60]
    return NewRow(
        id=str(n), columns={"shop": "Lyon" if n % 3 else "Paris", "age": n}, vectors_D=vectors, **more
    )


def make(folder: Path, count: int = 40, about: About = ABOUT, *, folded: bool = True) -> Index:
    store = Store.create(folder, about)
    store.put([row(n) for n in range(count)])
    store.finish()
    store.close()
    if folded:
        fold(folder, threads=1)
    return Index(folder)


def ids(hits: list[Hit]) -> list[str]:
    return [hit.row.id for hit in hits]


def ask(index: Index, n: int, k: int = 3, wanted: str = "", parts: tuple[str, ...] = ("text",)) -> list[Hit]:
    condition = read_condition(wanted or "{}", index.about.columns)
    return index.search(Query(vectors_D=dict.fromkeys(parts, VECTORS_ND[n]), k=k, condition=condition))


def expected(n: int, among: list[int], k: int = 3) -> list[str]:
    """By hand: every cosine."""
    scores = {each: float(VECTORS_ND[each] @ VECTORS_ND[n]) for each in among}
    return [str(each) for each in sorted(scores, key=lambda each: -scores[each])[:k]]


@pytest.fixture(params=["scan", "graph"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "graph":
        monkeypatch.setattr(vectors_module, "SCANNED_BYTES", 0)
    return str(request.param)


def test_the_closest_rows_come_first_with_their_cosine(tmp_path: Path, kind: str) -> None:
    hits = ask(make(tmp_path / "i"), 7, k=5)
    assert ids(hits) == expected(7, list(range(40)), k=5)
    assert [hit.score for hit in hits] == pytest.approx(
        [float(VECTORS_ND[int(hit.row.id)] @ VECTORS_ND[7]) for hit in hits], abs=1e-5
    )
    assert (tmp_path / "i/vectors-1/text.usearch").exists() == (kind == "graph")


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_fewer_bits_find_the_same_rows(tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "SCANNED_BYTES", 0)
    index = make(tmp_path / "i", about=ABOUT.model_copy(update={"vectors": storage}))
    hits = ask(index, 7, k=2)
    assert ids(hits) == expected(7, list(range(40)), k=2)
    assert hits[0].score == pytest.approx(1, abs=5e-3)
    among = ask(index, 7, k=2, wanted='{"shop": "Lyon"}')
    assert ids(among) == expected(7, [n for n in range(40) if n % 3], k=2)


def test_a_row_counts_by_its_closest_medium(tmp_path: Path, kind: str) -> None:
    first, second, *_ = ask(make(tmp_path / "i"), 5, parts=("text", "image"))
    assert {(first.row.id, first.matched), (second.row.id, second.matched)} == {("5", "text"), ("4", "image")}


@pytest.mark.parametrize(
    "wanted",
    [
        ('{"shop": "Paris"}', lambda n: n % 3 == 0),
        ('{"age": {"min": 10, "max": 20}}', lambda n: 10 <= n <= 20),
        ('{"age": [3, "4", 39]}', lambda n: n in (3, 4, 39)),
        ('{"age": {"min": 30}, "shop": "Lyon"}', lambda n: n >= 30 and n % 3),
        ('{"age": 5}', lambda n: n == 5),
        ('{"age": 99}', lambda n: False),
    ],
)
@pytest.mark.parametrize("few", [5_000, 2])
def test_conditions_hold_whichever_way_they_are_met(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, wanted: tuple[str, Any], few: int
) -> None:
    """few: past it more and more of the closest are asked for."""
    monkeypatch.setattr(index_module, "FEW_KEYS", few)
    index = make(tmp_path / "i")
    condition, meets = wanted
    assert ids(ask(index, 7, wanted=condition)) == expected(7, [n for n in range(40) if meets(n)])


def test_what_is_rare_is_compared_exactly_when_asking_for_more_would_not_end(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "FEW_KEYS", 1)
    monkeypatch.setattr(index_module, "MOST_ASKED", 4)
    index = make(tmp_path / "i")
    assert ids(ask(index, 7, wanted='{"age": [30, 31]}')) == expected(7, [30, 31])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ('{"colour": 1}', "no column 'colour'"),
        ('{"age": "old"}', "holds numbers"),
        ('{"age": true}', "holds numbers"),
        ('{"age": {"least": 1}}', "min and max"),
        ('{"age": {}}', "min and max"),
        ('{"age": []}', "lists 0 values"),
        ('{"shop": null}', "holds strings"),
        ('{"shop": [["x"]]}', "holds strings"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(wanted: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        read_condition(wanted, ABOUT.columns)


def test_a_condition_is_a_value_never_a_statement(tmp_path: Path) -> None:
    index = make(tmp_path / "i")
    assert ask(index, 7, wanted='{"shop": "x\' OR 1 --"}') == []


def test_another_process_sees_at_once_what_was_added_and_deleted(tmp_path: Path, kind: str) -> None:
    ours, theirs = make(tmp_path / "i"), Index(tmp_path / "i")
    assert ids(ask(theirs, 50)) == expected(50, list(range(40)))
    ours.put(row(50))
    assert ids(ask(theirs, 50, k=1)) == ["50"]
    assert ours.delete("50")
    assert not ours.delete("50")
    assert ours.delete(expected(50, list(range(40)), k=1)[0])
    assert ids(ask(theirs, 50)) == expected(50, list(range(40)), k=4)[1:]


def test_a_row_of_the_same_id_replaces_the_old_one(tmp_path: Path, kind: str) -> None:
    index = make(tmp_path / "i")
    index.put(NewRow(id="7", columns={"shop": "Rome"}, vectors_D={"text": VECTORS_ND[55]}))
    (hit,) = ask(index, 55, k=1)
    assert (hit.row.id, hit.row.columns) == ("7", {"shop": "Rome"})
    assert ask(index, 7, k=1)[0].score < 0.99
    assert index.store.count() == 40


def test_folding_takes_changes_into_the_files_under_whoever_searches(tmp_path: Path, kind: str) -> None:
    index = make(tmp_path / "i")
    ask(index, 7)
    index.put(row(50))
    index.delete("7")
    fold(tmp_path / "i", threads=1)
    fold(tmp_path / "i", threads=1)
    assert sorted(each.name for each in (tmp_path / "i").glob("vectors-*")) == ["vectors-2", "vectors-3"]
    assert ids(ask(index, 50, k=1)) == ["50"]
    assert ids(ask(index, 7, k=40)) == expected(7, [n for n in range(40) if n != 7] + [50], k=40)


def test_a_graph_grows_in_all_parts_of_a_table_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is sorted: a region that is full before the next begins is hard to find a way to."""
    monkeypatch.setattr(store_module, "PIECE", 50)
    store = Store.create(tmp_path / "i", ABOUT)
    store.put([dataclasses.replace(row(n % 60), id=str(n)) for n in range(500)])
    pieces = [keys_N for keys_N, _ in store.vectors("text", after=100, until=400)]
    assert sorted(np.concatenate(pieces).tolist()) == list(range(101, 401))
    for keys_N in pieces:
        assert np.abs(np.histogram(keys_N, 5, (101, 401))[0] - 10).max() <= 2
    (keys_N, vectors_ND) = next(store.vectors("text", after=0, until=500))
    assert np.array_equal(vectors_ND, VECTORS_ND[(keys_N - 1) % 60])


def test_what_was_imported_after_usearch_does_not_crash(tmp_path: Path) -> None:
    """usearch 2.26 changes what ONNX Runtime's import stumbles over."""
    code = "from triad_serving.search.vectors import load_usearch; load_usearch(); import onnxruntime"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_one_process_makes_the_files_anew(tmp_path: Path) -> None:
    index = make(tmp_path / "i")

    def begin_another(_done: int, _all: int) -> None:
        with pytest.raises(SetupError, match="by another process"):
            fold(tmp_path / "i", threads=1)

    fold(tmp_path / "i", threads=1, on_vectors=begin_another)
    assert index.store.state().generation == 2


def test_many_deleted_rows_do_not_hide_the_others(tmp_path: Path, kind: str) -> None:
    index = make(tmp_path / "i")
    for each in expected(7, list(range(40)), k=35):
        index.delete(each)
    assert len(ask(index, 7, k=5)) == 5


def test_an_index_that_is_not_complete_is_not_searched(tmp_path: Path) -> None:
    Store.create(tmp_path / "i", ABOUT)
    with pytest.raises(SetupError, match="is not complete"):
        Index(tmp_path / "i")


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is no index"):
        Index(tmp_path)
    (tmp_path / "rows.sqlite").write_bytes(b"noise" * 1000)
    with pytest.raises(SetupError, match="is no index"):
        Index(tmp_path)


def test_an_index_belongs_to_one_model_version(tmp_path: Path, tiny_bundle: Path) -> None:
    manifest = read_bundle(tiny_bundle).manifest
    index = make(tmp_path / "i", about=ABOUT.model_copy(update={"graph": manifest.files["model.onnx"]}))
    index.require_model(manifest)
    for changed in ({"version": "2"}, {"name": "other"}, {"files": {"model.onnx": "1" * 64}}):
        with pytest.raises(IndexRefusedError, match="cannot be compared"):
            index.require_model(manifest.model_copy(update=changed))


def test_whoever_waits_too_long_to_change_it_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make(tmp_path / "i", 2)
    monkeypatch.setattr(store_module, "BUSY_S", 0.05)
    other = Index(tmp_path / "i")
    with index.store.changing(), pytest.raises(OverloadedError, match="being changed by others"):
        other.delete("1")


def test_a_full_disk_takes_no_row_and_loses_none(tmp_path: Path) -> None:
    index = make(tmp_path / "i")
    with index.store.changing() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    more = [dataclasses.replace(row(n % 60), id=str(n)) for n in range(40, 1000)]
    with pytest.raises(DiskError, match="is full"):
        index.store.put(more)
    assert index.store.count() == 40
    assert index.delete("7")
    index.put(row(7))
    assert ids(ask(index, 7, k=1)) == ["7"]


def test_an_index_in_a_folder_that_may_only_be_read_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "i")
    assert {each.name for each in (tmp_path / "i").iterdir()} == {"rows.sqlite", "vectors-1"}
    monkeypatch.setattr(store_module.os, "access", lambda path, mode: False)
    index = Index(tmp_path / "i")
    assert ids(ask(index, 7)) == expected(7, list(range(40)))
    assert sorted(each.name for each in (tmp_path / "i").iterdir()) == ["rows.sqlite", "vectors-1"]
    with pytest.raises(ForbiddenError, match="may not be written"):
        index.delete("7")


def test_vectors_of_another_width_are_refused(tmp_path: Path) -> None:
    wrong: Mapping[str, F32] = {"text": np.ones(3, np.float32)}
    with pytest.raises(ParameterError, match="16 numbers"):
        make(tmp_path / "i", 2).put(NewRow(id="x", columns={}, vectors_D=wrong))
