"""Which vectors are closest to another: by looking at all of them, or through a graph of neighbours (HNSW).

What is folded lies in files that processes map, and so share; what came later in an array of each process.
Scores are inner products of vectors of length 1: cosines.
Source of HNSW: Malkov and Yashunin, arXiv:1603.09320; the library is usearch.
Shape letters: D numbers of a vector, N vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.disk import writing
from triad_serving.contract.errors import SetupError
from triad_serving.search.store import Storage

SCANNED_BYTES = 16 * 2**20  # of vectors that are all looked at: 2 ms; past it the graph is faster
NEIGHBOURS, WIDTH_BUILDING, WIDTH_SEARCHING = 16, 128, 256  # M, efConstruction, ef of HNSW
TYPES = {"float32": "f32", "float16": "f16", "int8": "i8"}
Found: TypeAlias = tuple[I64, F32]  # keys and their scores, the closest first


class Vectors(Protocol):
    """Folded vectors of one part."""

    def __len__(self) -> int: ...

    def nearest(self, query_D: F32, count: int) -> Found: ...

    def among(self, query_D: F32, keys_N: I64) -> Found:
        """Scores of those of the keys that are here; keys_N: sorted."""
        ...


class Scan:
    """All are looked at."""

    def __init__(self, keys_N: I64, vectors_ND: F32) -> None:
        self._keys_N = keys_N
        self._vectors_ND = vectors_ND

    def __len__(self) -> int:
        return len(self._keys_N)

    def nearest(self, query_D: F32, count: int) -> Found:
        return best(self._keys_N, self._vectors_ND @ query_D, count)

    def among(self, query_D: F32, keys_N: I64) -> Found:
        places = np.flatnonzero(np.isin(self._keys_N, keys_N, assume_unique=True))
        return best(self._keys_N[places], self._vectors_ND[places] @ query_D, len(places))


class Graph:
    """A file of usearch, mapped."""

    def __init__(self, path: Path, storage: Storage) -> None:
        self._index = load_usearch().Index.restore(path, view=True)
        self._index.expansion_search = WIDTH_SEARCHING
        self._storage = storage
        self._lock = threading.Lock()  # a search uses buffers of the index

    def __len__(self) -> int:
        return len(self._index)

    def nearest(self, query_D: F32, count: int) -> Found:
        stored_D = _stored(query_D[None], self._storage)[0]
        with self._lock:
            found = self._index.search(stored_D, min(count, len(self)), threads=1)
        scores_N = 1 - found.distances.astype(np.float32)
        return found.keys.astype(np.int64), scores_N

    def among(self, query_D: F32, keys_N: I64) -> Found:
        with self._lock:
            found = self._index.get(keys_N.astype(np.uint64))
        here_N = np.array([vector is not None for vector in found], bool)
        if not here_N.any():
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        keys_N = keys_N[here_N]
        vectors_ND = np.stack([vector for vector in found if vector is not None]).reshape(len(keys_N), -1)
        vectors_ND = vectors_ND.astype(np.float32)
        if self._storage == "int8":
            vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        return best(keys_N, vectors_ND @ query_D, len(keys_N))


class Tail:
    """What was added since: all of it is looked at. It only grows, by one thread at a time."""

    def __init__(self, width: int) -> None:
        self._keys_N = np.zeros(0, np.int64)
        self._vectors_ND = np.zeros((0, width), np.float32)
        self._count = 0

    def add(self, keys_N: I64, vectors_ND: F32) -> None:
        count = self._count + len(keys_N)
        if count > len(self._keys_N):
            more = max(64, 2 * count) - len(self._keys_N)
            self._keys_N = np.pad(self._keys_N, (0, more))
            self._vectors_ND = np.pad(self._vectors_ND, ((0, more), (0, 0)))
        self._keys_N[self._count : count], self._vectors_ND[self._count : count] = keys_N, vectors_ND
        self._count = count

    def scan(self) -> Scan:
        return Scan(self._keys_N[: self._count], self._vectors_ND[: self._count])


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Folded vectors and their tail as one."""

    folded: Vectors | None
    tail: Scan

    def __len__(self) -> int:
        return len(self.tail) + (len(self.folded) if self.folded is not None else 0)

    def nearest(self, query_D: F32, count: int) -> Found:
        return self._merge(lambda vectors: vectors.nearest(query_D, count), count)

    def among(self, query_D: F32, keys_N: I64) -> Found:
        return self._merge(lambda vectors: vectors.among(query_D, keys_N), len(keys_N))

    def _merge(self, ask: Callable[[Vectors], Found], count: int) -> Found:
        if self.folded is None:
            return ask(self.tail)
        if not len(self.tail):
            return ask(self.folded)
        (keys_N, scores_N), (more_N, their_N) = ask(self.folded), ask(self.tail)
        return best(np.concatenate([keys_N, more_N]), np.concatenate([scores_N, their_N]), count)


def best(keys_N: I64, scores_N: F32, count: int) -> Found:
    if count < len(scores_N):
        chosen = np.argpartition(-scores_N, count)[:count]
        keys_N, scores_N = keys_N[chosen], scores_N[chosen]
    order = np.lexsort((keys_N, -scores_N))
    return keys_N[order], scores_N[order]


def write_vectors(
    path: Path,
    count: int,
    width: int,
    pieces: Iterable[tuple[I64, F32]],
    *,
    storage: Storage,
    threads: int,
    on_piece: Callable[[int], object] = lambda _: None,
) -> None:
    """path: without a suffix. count: of all pieces together. on_piece: told how many each has.

    Raises DiskError, SetupError.
    """
    if 4 * count * width <= SCANNED_BYTES:
        keys, vectors = [np.zeros(0, np.int64)], [np.zeros((0, width), np.float32)]
        for keys_N, vectors_ND in pieces:
            keys.append(keys_N)
            vectors.append(vectors_ND)
            on_piece(len(keys_N))
        with writing(path.parent):
            np.save(path.with_suffix(".keys.npy"), np.concatenate(keys))
            np.save(path.with_suffix(".npy"), np.concatenate(vectors))
        return
    index = load_usearch().Index(
        ndim=width,
        metric="cos" if storage == "int8" else "ip",
        dtype=TYPES[storage],
        connectivity=NEIGHBOURS,
        expansion_add=WIDTH_BUILDING,
        expansion_search=WIDTH_SEARCHING,
    )
    for keys_N, vectors_ND in pieces:
        index.add(keys_N.astype(np.uint64), _stored(vectors_ND, storage), threads=threads)
        on_piece(len(keys_N))
    with writing(path.parent):
        index.save(path.with_suffix(".usearch"))


def open_vectors(path: Path, storage: Storage) -> Vectors:
    """path: as given to `write_vectors`. Raises SetupError."""
    try:
        if path.with_suffix(".usearch").exists():
            return Graph(path.with_suffix(".usearch"), storage)
        keys_N = np.load(path.with_suffix(".keys.npy"))
        return Scan(keys_N, np.load(path.with_suffix(".npy"), mmap_mode="r"))
    except (OSError, ValueError) as error:
        raise SetupError(f"The vectors of {path} cannot be read: {error}.") from error


def _stored(vectors_ND: F32, storage: Storage) -> Any:
    """As they are given to usearch. In 8 bits each vector has a scale of its own, which makes its largest
    number 127; to the cosine that makes no difference.
    """
    if storage != "int8":
        return np.ascontiguousarray(vectors_ND, np.float32)
    largest_N1 = np.abs(vectors_ND).max(axis=1, keepdims=True)
    return np.rint(vectors_ND * (127 / np.maximum(largest_N1, 1e-12))).astype(np.int8)


def load_usearch() -> Any:
    """Its module `index`. After ONNX Runtime, whose import crashes once usearch 2.26 has made the symbols of
    its libstdc++ global. Raises SetupError.
    """
    import triad_serving.inference.runtime  # noqa: F401

    try:
        import usearch.index
    except ModuleNotFoundError as error:
        raise SetupError("Large indexes need usearch: pip install triad-serving[search]") from error
    return usearch.index
