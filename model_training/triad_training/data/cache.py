"""Cache: decoded media kept between epochs and runs, by content, in one SQLite file that is safe to delete.

SQLite, not a file per item (opening one costs more than decoding a small picture) and not one large array: it
is whole after a kill, shared by processes, and takes files that were added or changed; what a power cut
damages is decoded again. Measured on items of 2 and 10 KB: 6 and 14 us to write, 9 and 10 us to read.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triad_serving.contract.errors import ConfigError

CACHE_FILE = "media.sqlite"
PAGE_BYTES = 16_384  # 4 KiB pages take three times as long to read a large picture
BUSY_S = 60.0  # another run may be writing
RACY_NS = 2 * 10**9  # a file changed this shortly before it was read could change again within one clock tick
SCHEMA = """
CREATE TABLE IF NOT EXISTS files
    (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, read_ns INTEGER, digest BLOB);
CREATE TABLE IF NOT EXISTS stages (stage TEXT PRIMARY KEY, used_ns INTEGER);
CREATE TABLE IF NOT EXISTS items
    (stage TEXT, digest BLOB, crc INTEGER, data BLOB, PRIMARY KEY (stage, digest));
"""


@dataclass(frozen=True, kw_only=True)
class FileState:
    """A file as it was when its bytes were read; digest: SHA-256 of them."""

    path: Path
    size: int
    mtime_ns: int
    read_ns: int
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class Item:
    """What became of a file's bytes in one stage (one form of decoding; see codec.stage_of)."""

    stage: str
    digest: bytes
    data: bytes


def read_file(path: Path) -> tuple[bytes, FileState]:
    """Raises OSError."""
    read_ns = time.time_ns()
    status = path.stat()
    data = path.read_bytes()
    digest = hashlib.sha256(data).digest()
    return data, FileState(
        path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, read_ns=read_ns, digest=digest
    )


class Cache:
    """Used by the training process and its workers, each with a connection of its own.

    A damaged file is made anew and a damaged item is a missing one. Raises ConfigError where the folder
    cannot be written or the disk is full.
    """

    def __init__(self, folder: Path, *, max_gib: float) -> None:
        self.path = folder / CACHE_FILE
        self.max_bytes = max_gib * 2**30
        self._needed: frozenset[str] = frozenset()
        self._connections: dict[int, sqlite3.Connection] = {}  # by process: none may use what it inherited

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_connections": {}}

    def digest_of(self, path: Path) -> bytes | None:
        """SHA-256 of a file that has not changed since it was read. Raises OSError."""
        status = path.stat()
        row = self._fetch("SELECT size, mtime_ns, read_ns, digest FROM files WHERE path = ?", str(path))
        if row is None or row[:2] != (status.st_size, status.st_mtime_ns) or row[1] > row[2] - RACY_NS:
            return None
        digest: bytes = row[3]
        return digest

    def has(self, stage: str, digest: bytes) -> bool:
        return self._fetch("SELECT 1 FROM items WHERE stage = ? AND digest = ?", stage, digest) is not None

    def read(self, stage: str, digest: bytes) -> bytes | None:
        """An item's data; None where it is missing or damaged."""
        row = self._fetch("SELECT crc, data FROM items WHERE stage = ? AND digest = ?", stage, digest)
        if row is None or zlib.crc32(row[1]) != row[0]:
            return None
        data: bytes = row[1]
        return data

    def use(self, stages: Iterable[str]) -> None:
        """Says which stages this run needs: when room is short the others go, longest unused first."""
        self._needed |= frozenset(stages)
        rows = [(stage, time.time_ns()) for stage in self._needed]
        self._change(lambda to: to.executemany("REPLACE INTO stages VALUES (?, ?)", rows))

    def write(self, files: Sequence[FileState], items: Sequence[Item]) -> None:
        """All or nothing. Past the cap items are left out: what is missing is decoded each time."""

        def insert(to: sqlite3.Connection) -> None:
            rows = [(str(f.path), f.size, f.mtime_ns, f.read_ns, f.digest) for f in files]
            to.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)
            if self._make_room(to):
                kept = [(item.stage, item.digest, zlib.crc32(item.data), item.data) for item in items]
                to.executemany("REPLACE INTO items VALUES (?, ?, ?, ?)", kept)

        self._change(insert)

    def _make_room(self, to: sqlite3.Connection) -> bool:
        """Whether there is room, after dropping stages that are not needed."""
        used = "SELECT (page_count - freelist_count) * page_size"
        used += " FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        known = to.execute("SELECT stage FROM stages ORDER BY used_ns").fetchall()
        others = [stage for (stage,) in known if stage not in self._needed]
        while to.execute(used).fetchone()[0] > self.max_bytes:
            if not others:
                return False
            oldest = others.pop(0)
            to.execute("DELETE FROM items WHERE stage = ?", (oldest,))
            to.execute("DELETE FROM stages WHERE stage = ?", (oldest,))
        return True

    def _fetch(self, query: str, *values: object) -> tuple[Any, ...] | None:
        """The first row; None where there is none or the file is damaged there."""
        try:
            row: tuple[Any, ...] | None = self._connection().execute(query, values).fetchone()
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                return None
            raise self._refusal(error) from error
        return row

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """One transaction; a damaged file is deleted, and the change goes into a new one."""
        for attempt in (1, 2):
            try:
                connection = self._connection()
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    change(connection)
            except sqlite3.DatabaseError as error:
                if not _damaged(error) or attempt == 2:
                    raise self._refusal(error) from error
                self._delete()
            else:
                return

    def _connection(self) -> sqlite3.Connection:
        known = self._connections.get(os.getpid())
        if known is not None:
            return known
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"data.cache: {self.path.parent}: {error.strerror}.") from error
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        # Else each item that is read for the first time waits for the disk: 17 ms instead of 1.
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SCHEMA)
        self._connections[os.getpid()] = connection
        return connection

    def _delete(self) -> None:
        connection = self._connections.pop(os.getpid(), None)
        if connection is not None:
            connection.close()
        for path in (self.path, self.path.with_name(f"{CACHE_FILE}-journal")):
            path.unlink(missing_ok=True)

    def _refusal(self, error: sqlite3.DatabaseError) -> ConfigError:
        return ConfigError(f"data.cache: {self.path}: {error}; name another folder, or '' for none.")


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
