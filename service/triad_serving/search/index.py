"""An index: finds the rows closest to a query, takes new ones and forgets others while it is searched.

A folder: rows.sqlite, which is the truth (store.py), and vectors-GENERATION/, made from it (vectors.py). What
was added since is searched beside these files by each process; what was deleted, or does not meet a
condition, falls out when rows are read, so more is asked for than is wanted, until enough is left.

Shape letters: D numbers of a vector, N rows.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.disk import writing
from triad_serving.contract.errors import IndexRefusedError, ParameterError, SetupError
from triad_serving.inference.bundle import MODEL_FILE, BundleManifest
from triad_serving.search.store import EVERYTHING, About, Condition, NewRow, Row, State, Store
from triad_serving.search.vectors import Found, Joined, Tail, Vectors, open_vectors, write_vectors

FEW_KEYS = 5_000  # that meet a condition: all of them are compared, exactly
MOST_ASKED = 4_096  # of the closest, to find enough that meet it; past it all that do are compared
MORE = 4  # times as many as before


@dataclass(frozen=True, kw_only=True)
class Query:
    """vectors_D: what each part's vectors are compared with, by part; each of length 1."""

    vectors_D: Mapping[str, F32]
    k: int
    condition: Condition = EVERYTHING


@dataclass(frozen=True, kw_only=True)
class Hit:
    """matched: the part whose vector is closest."""

    row: Row
    score: float
    matched: str


@dataclass(frozen=True, kw_only=True)
class _View:
    """What one process knows of the index at a moment."""

    state: State
    parts: Mapping[str, Joined]


class Index:
    """Of any number of threads. name: the folder's."""

    def __init__(self, folder: Path) -> None:
        """Raises SetupError where it is none, or not complete."""
        self.folder = folder
        self.name = folder.name
        self.store = Store(folder)
        if not self.store.complete:
            raise SetupError(f"The index {folder} is not complete; its `triad index` goes on with it.")
        self._refreshing = threading.Lock()
        self._folded: dict[str, Vectors] = {}
        self._tails: dict[str, Tail] = {}
        self._view: _View | None = None

    @property
    def about(self) -> About:
        return self.store.about

    def require_model(self, manifest: BundleManifest) -> None:
        """Raises IndexRefusedError where its vectors are not of this model: they could not be compared."""
        about = self.about
        if (about.model, about.version, about.graph) == (
            manifest.name,
            manifest.version,
            manifest.files[MODEL_FILE],
        ):
            return
        raise IndexRefusedError(
            f"The index {self.name} was made with {about.model} {about.version} (graph {about.graph[:12]}), "
            f"not with {manifest.name} {manifest.version} (graph {manifest.files[MODEL_FILE][:12]}): vectors "
            "of different models cannot be compared."
        )

    def map_files(self) -> None:
        """As the first search does. Raises SetupError."""
        self._refreshed()

    def search(self, query: Query) -> list[Hit]:
        """The k closest rows that meet the condition, the closest first."""
        view = self._refreshed()
        if query.condition is not EVERYTHING:
            few = self.store.keys(query.condition, most=FEW_KEYS + 1)
            if len(few) <= FEW_KEYS:
                return self._among(view, query, few)
        asked, total = query.k, max((len(view.parts[part]) for part in query.vectors_D), default=0)
        while True:
            found = {part: view.parts[part].nearest(q_D, asked) for part, q_D in query.vectors_D.items()}
            cut = {part: pair for part, pair in found.items() if asked < len(view.parts[part])}
            # What a cut list leaves out may be as close as its last: only what is closer is certain.
            certain = max(
                (float(scores_N[-1]) for _, scores_N in cut.values() if len(scores_N)), default=-2.0
            )
            hits = self._hits(found, query, certain)
            if len(hits) >= query.k or asked >= total:
                return hits
            asked *= MORE
            if asked > MOST_ASKED:
                return self._among(view, query, self.store.keys(query.condition, most=view.state.last))

    def _among(self, view: _View, query: Query, keys_N: I64) -> list[Hit]:
        found = {part: view.parts[part].among(q_D, keys_N) for part, q_D in query.vectors_D.items()}
        return self._hits({part: (k[: query.k], s[: query.k]) for part, (k, s) in found.items()}, query, -2.0)

    def _hits(self, found: Mapping[str, Found], query: Query, certain: float) -> list[Hit]:
        best: dict[int, tuple[float, str]] = {}
        for part, (keys_N, scores_N) in found.items():
            for key, score in zip(keys_N.tolist(), scores_N.tolist(), strict=True):
                if score >= certain and (key not in best or score > best[key][0]):
                    best[key] = (score, part)
        ordered = sorted(best, key=lambda key: (-best[key][0], key))
        hits: list[Hit] = []
        for start in range(0, len(ordered), 2 * query.k):
            some = ordered[start : start + 2 * query.k]
            rows = self.store.rows(some, query.condition)
            hits += [
                Hit(row=rows[key], score=best[key][0], matched=best[key][1]) for key in some if key in rows
            ]
            if len(hits) >= query.k:
                break
        return hits[: query.k]

    def _refreshed(self) -> _View:
        """With all that was acknowledged, by any process, before this was called."""
        view, state = self._view, self.store.state()
        if view is not None and view.state == state:
            return view
        with self._refreshing:
            state = self.store.state()
            known = self._view.state if self._view is not None else None
            if known is None or known.generation != state.generation:
                self._open(state)
                known = State(last=state.folded, generation=state.generation, folded=state.folded)
            for part, tail in self._tails.items():
                for keys_N, vectors_ND in self.store.vectors(part, after=known.last, until=state.last):
                    tail.add(keys_N, vectors_ND)
            self._view = _View(
                state=state,
                parts={
                    part: Joined(folded=self._folded.get(part), tail=tail.scan())
                    for part, tail in self._tails.items()
                },
            )
            return self._view

    def _open(self, state: State) -> None:
        folder = vectors_folder(self.folder, state.generation)
        about = self.about
        self._folded = {
            part: open_vectors(folder / part, about.vectors) for part in about.parts if state.generation
        }
        self._tails = {part: Tail(about.width) for part in about.parts}

    def put(self, row: NewRow) -> None:
        """On the disk when this returns. Raises OverloadedError, DiskError, ParameterError."""
        if any(len(vector_D) != self.about.width for vector_D in row.vectors_D.values()):
            raise ParameterError(f"Vectors of this index have {self.about.width} numbers.")
        self.store.put([row])

    def delete(self, row_id: str) -> bool:
        """Whether it was there. On the disk when this returns. Raises OverloadedError, DiskError."""
        return self.store.delete(row_id)


def vectors_folder(folder: Path, generation: int) -> Path:
    return folder / f"vectors-{generation}"


def fold(
    folder: Path, *, threads: int, on_vectors: Callable[[int, int], object] = lambda _done, _all: None
) -> None:
    """Makes the files of vectors anew, from all that is stored; who serves the index goes over to them.

    on_vectors: told how many vectors more are done, and how many there are.
    Raises DiskError; SetupError also where another process does the same.
    """
    with _alone(folder):
        _fold(folder, threads=threads, on_vectors=on_vectors)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupError(f"The files of {folder} are being made anew by another process.") from error
        yield
    finally:
        os.close(opened)


def _fold(folder: Path, *, threads: int, on_vectors: Callable[[int, int], object]) -> None:
    store = Store(folder)
    state, about = store.state(), store.about
    counts = {part: store.count_vectors(part) for part in about.parts}
    total = sum(counts.values())
    generation = state.generation + 1
    target = vectors_folder(folder, generation)
    if target.exists():  # left by a run that was killed
        shutil.rmtree(target)
    with writing(target):
        target.mkdir()
        for part, count in counts.items():
            pieces = store.vectors(part, after=0, until=state.last)
            write_vectors(
                target / part,
                count,
                about.width,
                pieces,
                storage=about.vectors,
                threads=threads,
                on_piece=lambda done: on_vectors(done, total),
            )
    store.fold(generation, state.last)
    store.close()
    for old in folder.glob("vectors-*"):
        if old.name not in (target.name, vectors_folder(folder, state.generation).name):
            shutil.rmtree(old)
