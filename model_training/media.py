"""Media: the decoded images and sounds of a table, each file decoded once and kept in the cache.

Forms in which a file is kept:
    image    as the graph reads it
    picture  as augmentation needs it: before fitting, reduced by a whole factor where it is large
    audio    as the graph reads it
    sound    as augmentation needs it: at the graph's rate
    noise    a recording to mix into sounds: likewise, of any length
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

import numpy as np
import PIL
import soundfile
import soxr
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import service.preprocess.audio
import service.preprocess.image
from model_training.cache import Cache, FileState, Item, read_file
from model_training.config import TrainConfig
from service.contract import I16, AudioInput, ImageInput, ImageSpec, MediaLimits, Medium, PreprocessSpec
from service.errors import RequestError, TableError
from service.preprocess.audio import DecodedAudio, decode_audio, fit_audio
from service.preprocess.image import DRAFT_FACTOR, DecodedImage, decode_image, fit_image

LIMITS = MediaLimits()
NOISE_S = 60.0  # of each recording of noise
Form = Literal["image", "picture", "audio", "sound", "noise"]
Decoded: TypeAlias = ImageInput | DecodedImage | AudioInput
Kind = TypeVar("Kind", ImageInput, DecodedImage, AudioInput)
FORMS: tuple[Form, ...] = get_args(Form)
FILES_PER_WRITE = 256
WORTH_WORKERS = 512  # files; fewer are decoded sooner than processes start


class File(NamedTuple):
    """A file of the table in the form that is needed of it."""

    form: Form
    path: Path

    @property
    def medium(self) -> Medium:
        return "image" if self.form in ("image", "picture") else "audio"


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
        augmented: Collection[Medium] = (),
        workers: int = 0,
    ) -> None:
        """augmented: media of the training split. workers: processes that decode where there is much."""
        self.spec = spec
        self.cache = cache
        self.augmented = augmented
        self.workers = workers
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
        kept = self._read(File("sound", path), AudioInput)
        return DecodedAudio(
            samples_T=kept.samples_T.astype(np.float32) / np.float32(32768),
            sample_rate_hz=self.spec.audio.sample_rate_hz,
            format=kept.format,
            seconds=kept.seconds,
        )

    def noise(self, path: Path) -> I16:
        return self._read(File("noise", path), AudioInput).samples_T

    def decode(self, file: File) -> Checked:
        """Reads and decodes one file, whatever the cache holds."""
        try:
            data, state = read_file(file.path)
        except OSError as error:
            return Checked(file=file, problem=str(error.strerror))
        try:
            decoded = _decode(file.form, data, self.spec)
        except RequestError as error:
            return Checked(file=file, state=state, problem=error.detail)
        item = Item(stage=self._stages[file.form], digest=state.digest, data=to_bytes(decoded))
        return Checked(file=file, state=state, item=item)

    def _is_known(self, file: File) -> bool:
        if self.cache is None:
            return False
        try:
            digest = self.cache.digest_of(file.path)
        except OSError:
            return False
        if digest is None or not self.cache.has(self._stages[file.form], digest):
            return False
        self.digests[file.path] = digest
        return True

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


def open_media(config: TrainConfig, *, may_create: bool = True) -> Media:
    """The media of a training run, with the cache that the config names."""
    folder, cache = Path(config.data.cache), None
    if config.data.cache and (may_create or folder.is_dir()):
        cache = Cache(folder, max_gib=config.data.cache_gib)
    return Media(config.spec, cache=cache, augmented=config.augment.media, workers=config.optim.workers)


def stage_of(form: Form, spec: PreprocessSpec) -> str:
    """Name of everything that decides what a file's bytes become: the code, the libraries, the spec."""
    seen = form in ("image", "picture")
    wanted = spec.image if seen else spec.audio
    module = service.preprocess.image if seen else service.preprocess.audio
    versions = (PIL.__version__, soundfile.__libsndfile_version__, soxr.__version__, np.__version__)
    facts = (form, wanted and dataclasses.asdict(wanted), dataclasses.asdict(LIMITS), versions)
    digest = hashlib.sha256(json.dumps(facts).encode())
    for source in (module.__file__, __file__):
        digest.update(Path(str(source)).read_bytes())
    return digest.hexdigest()[:16]


def to_bytes(decoded: Decoded) -> bytes:
    """Its fields as one line of JSON, then its one array."""
    fields = {field.name: getattr(decoded, field.name) for field in dataclasses.fields(decoded)}
    (name,) = (name for name, value in fields.items() if isinstance(value, np.ndarray))
    array = fields.pop(name)
    head = {"name": name, "type": array.dtype.str, "shape": array.shape, "fields": fields}
    return b"\n".join((json.dumps(head).encode(), array.tobytes()))


def from_bytes(data: bytes, kind: type[Kind]) -> Kind:
    """The array is not writable."""
    end = data.index(b"\n")
    head: dict[str, Any] = json.loads(data[:end])
    array = np.frombuffer(data, dtype=head["type"], offset=end + 1).reshape(head["shape"])
    fields: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in head["fields"].items()}
    fields[head["name"]] = array
    return kind(**fields)


def _decode(form: Form, data: bytes, spec: PreprocessSpec) -> Decoded:
    match form:
        case "image":
            assert spec.image is not None
            return fit_image(decode_image(data, spec.image, LIMITS), spec.image)
        case "picture":
            assert spec.image is not None
            return _reduced(decode_image(data, spec.image, LIMITS), spec.image)
        case "audio" | "sound":
            assert spec.audio is not None
            return fit_audio(decode_audio(data, spec.audio, LIMITS), spec.audio)
        case "noise":
            assert spec.audio is not None
            long = dataclasses.replace(spec.audio, max_s=NOISE_S)
            return fit_audio(decode_audio(data, long, LIMITS), long)


def _reduced(decoded: DecodedImage, spec: ImageSpec) -> DecodedImage:
    """Still DRAFT_FACTOR times what the graph reads, as a JPEG is decoded in the first place."""
    height, width, _ = decoded.pixels_HW3.shape
    factor = min(height // (DRAFT_FACTOR * spec.height), width // (DRAFT_FACTOR * spec.width))
    if factor < 2:
        return decoded
    pixels_HW3 = np.asarray(Image.fromarray(decoded.pixels_HW3).reduce(factor))
    return dataclasses.replace(decoded, pixels_HW3=pixels_HW3)


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
