"""Media: the images and sounds of a table, each file decoded once and kept in the cache; see forms."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from triad_serving.contract.arrays import I16
from triad_serving.contract.errors import RequestError, TableError
from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.decode import DecodedAudio
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.image.spec import ImageInput
from triad_training.config.train_config import TrainConfig
from triad_training.data.cache import Cache, FileState, Item, read_file
from triad_training.data.forms import (
    FORMS,
    File,
    Form,
    Kind,
    Recording,
    decode,
    from_bytes,
    stage_of,
    to_bytes,
)

FILES_PER_WRITE = 256
WORTH_WORKERS = 512  # files; fewer are decoded sooner than processes start


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """What became of one file. state: None where it cannot be read; problem: None where it is fine."""

    file: File
    state: FileState | None = None
    item: Item | None = None
    problem: str | None = None


class Media:
    """Reads files in a form; without a cache each is decoded whenever it is read."""

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

        refuse_long: whether a sound that would be cut off is a problem.
        """
        self.spec = spec
        self.cache = cache
        self.augmented = augmented
        self.workers = workers
        self.refuse_long = refuse_long
        self.digests: dict[Path, bytes] = {}  # SHA-256 of every file that was checked
        self._stages: dict[Form, str] = {form: stage_of(form, spec) for form in FORMS}

    def files(self, image: Path | None, audio: Path | None, *, training: bool) -> Iterator[File]:
        """What a row of the table needs."""
        if image is not None:
            yield File("picture" if training and "image" in self.augmented else "image", image)
        if audio is not None:
            yield File("sound" if training and "audio" in self.augmented else "audio", audio)

    def check(self, files: Collection[File]) -> dict[File, str]:
        """Decodes what is not in the cache yet; returns what is wrong with which file."""
        if self.cache is not None:
            self.cache.use({self._stages[file.form] for file in files})
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

    def image(self, path: Path) -> ImageInput:
        return self._read(File("image", path), ImageInput)

    def picture(self, path: Path) -> DecodedImage:
        return self._read(File("picture", path), DecodedImage)

    def audio(self, path: Path) -> AudioInput:
        return self._read(File("audio", path), AudioInput)

    def sound(self, path: Path) -> DecodedAudio:
        assert self.spec.audio is not None
        kept = self._read(File("sound", path), Recording)
        return DecodedAudio(
            samples_T=kept.samples_T.astype(np.float32) / np.float32(32768),
            sample_rate_hz=self.spec.audio.sample_rate_hz,
            format=kept.format,
            seconds=kept.seconds,
        )

    def noise(self, path: Path) -> I16:
        return self._read(File("noise", path), Recording).samples_T

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
        if self.refuse_long and isinstance(decoded, AudioInput | Recording) and decoded.truncated:
            return Checked(file=file, state=state, problem=self._too_long(decoded))
        item = Item(stage=self._stages[file.form], digest=state.digest, data=to_bytes(decoded))
        return Checked(file=file, state=state, item=item)

    def _is_known(self, file: File) -> bool:
        if self.cache is None:
            return False
        try:
            digest = self.cache.digest_of(file.path)
        except OSError:
            return False
        stage = self._stages[file.form]
        if digest is None or not self.cache.has(stage, digest):
            return False
        if self.refuse_long and file.form in ("audio", "sound"):  # kept by a run that cut it off
            data = self.cache.read(stage, digest)
            if data is None or _is_cut_off(file, data):
                return False
        self.digests[file.path] = digest
        return True

    def _too_long(self, sound: AudioInput | Recording) -> str:
        assert self.spec.audio is not None
        return (
            f"it is {sound.seconds:.1f} s long, and preprocess.audio.max_s = {self.spec.audio.max_s:g}; "
            'raise that, or have such sounds cut: data.long_sounds = "cut"'
        )

    def _read(self, file: File, kind: type[Kind]) -> Kind:
        digest = self.digests.get(file.path)
        if self.cache is not None and digest is not None:
            data = self.cache.read(self._stages[file.form], digest)
            if data is not None:
                return from_bytes(data, kind)
        checked = self.decode(file)
        if checked.item is None:
            raise TableError([f"{file.medium}: {file.path}: {checked.problem}"])
        if self.cache is not None and digest == checked.item.digest:
            self.cache.write([], [checked.item])
        return from_bytes(checked.item.data, kind)


def open_media(config: TrainConfig, *, training: bool = True) -> Media:
    """Of the table of a config, with the cache that it names; but for training only where that exists."""
    folder, cache = Path(config.data.cache), None
    if config.data.cache and (training or folder.is_dir()):
        cache = Cache(folder, max_gib=config.data.cache_gib)
    return Media(
        config.spec,
        cache=cache,
        augmented=config.augment.media,
        workers=config.optim.workers,
        refuse_long=training and config.data.long_sounds == "refuse",
    )


def _is_cut_off(file: File, data: bytes) -> bool:
    if file.form == "audio":
        return from_bytes(data, AudioInput).truncated
    return from_bytes(data, Recording).truncated


class _Undecoded(Dataset[Checked]):
    def __init__(self, media: Media, files: Collection[File]) -> None:
        self.media = media
        self.files = tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Checked:
        checked = self.media.decode(self.files[index])
        return checked if self.media.cache else dataclasses.replace(checked, item=None)


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
