"""FileStore: the files of a table, each decoded once and kept in the cache."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from triad_serving.contract.errors import RequestError, TableError
from triad_serving.contract.outputs import MediumName
from triad_serving.media.example import PreprocessSpec
from triad_training.config.train_config import TrainConfig
from triad_training.data.cache import Cache, FileState, Item, read_file
from triad_training.data.codec import decode, from_bytes, stage_of, to_bytes
from triad_training.media.stored import File, StoredForm

FILES_PER_WRITE = 256
WORTH_WORKERS = 512  # files; fewer are decoded sooner than processes start


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """What became of one file. state: None where it cannot be read; problem: None where it is fine."""

    file: File
    state: FileState | None = None
    item: Item | None = None
    problem: str | None = None


class FileStore:
    """Has the protocol Files; without a cache each file is decoded whenever it is read."""

    def __init__(
        self,
        spec: PreprocessSpec,
        *,
        cache: Cache | None = None,
        augmented: Collection[MediumName] = (),
        workers: int = 0,
        refuse_long: bool = False,
    ) -> None:
        """augmented: media of the training split. workers: processes that decode where there is much.

        refuse_long: whether what a form finds fault with is a problem.
        """
        self.spec = spec
        self.cache = cache
        self.augmented = augmented
        self.workers = workers
        self.refuse_long = refuse_long
        self.digests: dict[Path, bytes] = {}  # SHA-256 of every file that was checked
        self._stages: dict[StoredForm, str] = {}

    def check(self, files: Collection[File]) -> dict[File, str]:
        """Decodes what is not in the cache yet; returns what is wrong with which file."""
        if self.cache is not None:
            self.cache.use({self._stage(file.form) for file in files})
        problems: dict[File, str] = {}
        unknown = [file for file in files if not self._is_known(file)]
        for group in _in_parallel(_Undecoded(self, unknown), self.workers):
            for checked in group:
                if checked.state is not None:
                    self.digests[checked.file.path] = checked.state.digest
                if checked.problem is not None:
                    problems[checked.file] = checked.problem
            if self.cache is not None:
                self.cache.write(
                    [checked.state for checked in group if checked.state is not None],
                    [checked.item for checked in group if checked.item is not None],
                )
        return problems

    def read(self, file: File) -> Any:
        digest = self.digests.get(file.path)
        if self.cache is not None and digest is not None:
            data = self.cache.read(self._stage(file.form), digest)
            if data is not None:
                return from_bytes(data, file.form.type)
        checked = self.decode(file)
        if checked.item is None:
            raise TableError([f"{file.form.medium}: {file.path}: {checked.problem}"])
        if self.cache is not None and digest == checked.item.digest:
            self.cache.write([], [checked.item])
        return from_bytes(checked.item.data, file.form.type)

    def decode(self, file: File) -> Checked:
        """Reads and decodes one file, whatever the cache holds."""
        try:
            data, state = read_file(file.path)
        except OSError as error:
            return Checked(file=file, problem=str(error.strerror))
        try:
            decoded = decode(file.form, data, self.spec)
        except RequestError as error:
            return Checked(file=file, state=state, problem=error.detail)
        if (fault := self._fault(file.form, decoded)) is not None:
            return Checked(file=file, state=state, problem=fault)
        item = Item(stage=self._stage(file.form), digest=state.digest, data=to_bytes(decoded))
        return Checked(file=file, state=state, item=item)

    def _is_known(self, file: File) -> bool:
        if self.cache is None:
            return False
        try:
            digest = self.cache.digest_of(file.path)
        except OSError:
            return False
        stage = self._stage(file.form)
        if digest is None or not self.cache.has(stage, digest):
            return False
        if self.refuse_long and file.form.fault is not None:  # kept by a run that did not mind
            data = self.cache.read(stage, digest)
            if data is None or self._fault(file.form, from_bytes(data, file.form.type)) is not None:
                return False
        self.digests[file.path] = digest
        return True

    def _stage(self, form: StoredForm) -> str:
        if form not in self._stages:
            self._stages[form] = stage_of(form, self.spec)
        return self._stages[form]

    def _fault(self, form: StoredForm, decoded: Any) -> str | None:
        if form.fault is None or not self.refuse_long:
            return None
        return form.fault(decoded, self.spec.of(form.medium))


def open_files(config: TrainConfig, *, training: bool = True) -> FileStore:
    """Of the table of a config, with the cache that it names; but for training only where that exists."""
    folder, cache = Path(config.data.cache), None
    if config.data.cache and (training or folder.is_dir()):
        cache = Cache(folder, max_gib=config.data.cache_gib)
    return FileStore(
        config.spec,
        cache=cache,
        augmented=config.augment.media,
        workers=config.optim.workers,
        refuse_long=training and config.data.refuse_long,
    )


class _Undecoded(Dataset[Checked]):
    def __init__(self, store: FileStore, files: Collection[File]) -> None:
        self.store = store
        self.files = tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Checked:
        checked = self.store.decode(self.files[index])
        return checked if self.store.cache else dataclasses.replace(checked, item=None)


def _in_parallel(undecoded: _Undecoded, workers: int) -> Iterator[list[Checked]]:
    loader = DataLoader(
        undecoded,
        batch_size=FILES_PER_WRITE,
        num_workers=workers if len(undecoded) >= WORTH_WORKERS else 0,
        collate_fn=list,
        worker_init_fn=ignore_ctrl_c,
        generator=torch.Generator(),  # the global one decides about the weights, whatever the cache holds
    )
    yield from loader


def ignore_ctrl_c(_worker: int) -> None:
    """The main process handles it; workers would only print a traceback each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
