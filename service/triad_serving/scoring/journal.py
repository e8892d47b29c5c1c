"""What has been scored already, a JSON line each: a run that was killed goes on from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from triad_serving.contract.errors import DiskError, SetupError


class Journal:
    """Beside the table of predictions until that is written; use it in a `with` block."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        """about: what all of it is scored from and with.

        Raises SetupError where the file is about something else.
        """
        self.path = path
        self._about = about
        self.done: set[int] = set()  # lines of the table
        whole = 0
        if path.exists():
            with path.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):  # killed while it wrote
                        break
                    found = json.loads(line)
                    if whole == 0 and found != about:
                        raise SetupError(
                            f"{path} was begun with another table, model or options; delete it to begin anew."
                        )
                    if whole:
                        self.done.add(found["line"])
                    whole += len(line)
        self._whole = whole

    def __enter__(self) -> Self:
        """Raises DiskError."""
        try:
            self._file: IO[bytes] = self.path.open("ab")
        except OSError as error:
            raise DiskError(f"{self.path} cannot be written: {error.strerror}.") from error
        self._file.truncate(self._whole)
        if not self._whole:
            self._write(self._about)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, record: dict[str, Any]) -> None:
        """record: with the `line` that it is about. Outlives this process from here on."""
        self._write(record)
        self.done.add(record["line"])

    def records(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as file:
            next(file)
            yield from map(json.loads, file)

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise DiskError(f"{self.path} cannot be written: {error.strerror}.") from error
