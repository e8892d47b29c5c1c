"""Every index that is served: a folder that is one, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triad_serving.contract.errors import NotFoundError, SetupError
from triad_serving.inference.bundle import MANIFEST_FILE, find_bundles, parse_manifest
from triad_serving.search.index import Index
from triad_serving.search.store import ROWS_FILE


class Indexes:
    """By name."""

    def __init__(self, indexes: Sequence[Index]) -> None:
        self._indexes = {index.name: index for index in sorted(indexes, key=lambda index: index.name)}

    @classmethod
    def open(cls, path: Path | None, models: Path) -> Indexes:
        """path: None for none. Raises SetupError where one is broken, IndexRefusedError where its model is
        not among those of the folder.
        """
        if path is None:
            return cls([])
        folders = (
            [path] if (path / ROWS_FILE).exists() else [each.parent for each in path.glob(f"*/{ROWS_FILE}")]
        )
        if not folders:
            raise SetupError(f"There is no index in {path}: no {ROWS_FILE} in it or in */.")
        indexes = cls([Index(folder.absolute()) for folder in folders])
        manifests = [
            parse_manifest((bundle / MANIFEST_FILE).read_bytes(), str(bundle))
            for bundle in find_bundles(models)
        ]
        for index in indexes.all:
            about = index.about
            same = [each for each in manifests if (each.name, each.version) == (about.model, about.version)]
            index.require_model((same or manifests)[0])
        return indexes

    def map_files(self) -> None:
        """Before the first search would; in the process that searches. Raises SetupError."""
        for index in self.all:
            index.map_files()

    @property
    def all(self) -> list[Index]:
        return list(self._indexes.values())

    def find(self, name: str | None) -> Index:
        """By default the first by name. Raises NotFoundError."""
        if not self._indexes:
            raise NotFoundError("No index is served; `triad serve --index DIR` serves one.", field="index")
        if name is None:
            name = next(iter(self._indexes))
        if name not in self._indexes:
            known = ", ".join(self._indexes)
            raise NotFoundError(
                f"There is no index {name[:80]!r}; served: {known}.", field="index", value=name
            )
        return self._indexes[name]
