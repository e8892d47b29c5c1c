"""An image as a medium that a model learns."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triad_serving.contract.arrays import F32
from triad_serving.contract.tasks import Task
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.image.medium import IMAGE as SERVING
from triad_serving.media.image.schemas import ImageAttention
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.medium import Medium
from triad_training.media.config import AugmentConfig, EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.corruption import Corruption
from triad_training.media.image.augment import augment_image
from triad_training.media.image.config import ImageAugment
from triad_training.media.image.corruption import CORRUPTIONS
from triad_training.media.image.encoder import ImageEncoder
from triad_training.media.image.pretrained import PretrainedImageEncoder, image_spec
from triad_training.media.image.stored import IMAGE_AS_READ, PICTURE, ImageLoader
from triad_training.media.image.view import ImageView, view_image
from triad_training.media.medium import Change, Reading
from triad_training.media.pretrained.source import network_files, processor_files
from triad_training.media.stored import File, Files, StoredForm
from triad_training.media.style import MediumStyle


class TrainingImage:
    """See TrainingMedium. Its source is a path."""

    serving: Medium[ImageSpec, None, bytes, DecodedImage, ImageInput] = SERVING
    forms: tuple[StoredForm, ...] = (IMAGE_AS_READ, PICTURE)
    may_coincide = False
    unread = '""'
    aligned_inputs: tuple[str, ...] = ()
    style = MediumStyle(colour="#3fa796", marker="s")
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    size_label = "side of an image, pixels (root of area)"
    parts_label = "image cells"
    hidden_label = "a hidden cell has the image's mean colour"
    attended_label = "bright image parts"

    def columns(self, data: MediaColumns) -> tuple[str, ...]:
        return (data.image,) if data.image and self.serving.name in data.subset else ()

    def source(self, cells: Mapping[str, str], data: MediaColumns, folder: Path) -> Path | None:
        return next((folder / cells[column] for column in self.columns(data) if cells.get(column)), None)

    def files(self, source: Path, *, augmented: bool) -> Iterator[File]:
        yield File(PICTURE if augmented else IMAGE_AS_READ, source)

    def check(self, source: Path) -> str | None:
        return None

    def identity(self, source: Path, digests: Mapping[Path, bytes]) -> bytes | None:
        return digests.get(source)

    def problems(self, rows: Mapping[int, Path], data: MediaColumns) -> Iterator[str]:
        return iter(())

    def doubts(self, rows: Mapping[int, Path], data: MediaColumns) -> Iterator[str]:
        return iter(())

    def raw(self, source: Path) -> bytes:
        return source.read_bytes()

    def fit_spec(self, spec: ImageSpec, model: EncodersConfig) -> ImageSpec:
        return image_spec(spec, model.image_encoder) if model.image_encoder else spec

    def learn(
        self,
        spec: ImageSpec,
        config: MediaConfig,
        sources: Sequence[Path | None],
        tasks: Sequence[Task],
        targets: Mapping[str, F32],
    ) -> tuple[ImageSpec, None]:
        return spec, None

    def loader(self, sources: Sequence[Path], spec: ImageSpec, asset: None, files: Files) -> ImageLoader:
        return ImageLoader(spec=spec, files=files)

    def augmentation(
        self, config: AugmentConfig, spec: ImageSpec, files: Files
    ) -> Change[DecodedImage] | None:
        if config.image == ImageAugment():
            return None
        return functools.partial(_change, config=config.image, spec=spec)

    def build_encoder(self, config: MediaConfig, spec: ImageSpec, asset: None) -> nn.Module:
        model = config.model
        if model.image_encoder is not None:
            return PretrainedImageEncoder(spec, model.image_encoder, width=model.width)
        return ImageEncoder(spec, width=model.width)

    def initialise(self, encoder: nn.Module, spec: ImageSpec, sources: Sequence[Path]) -> None:
        pass

    def bundle_files(self, config: MediaConfig, spec: ImageSpec, asset: None) -> dict[str, bytes]:
        encoder, name = config.model.image_encoder, self.serving.name
        return network_files(encoder, name) | processor_files(encoder, name) if encoder else {}

    def sample_inputs(self, spec: ImageSpec, items: int) -> dict[str, Tensor]:
        (pixels,) = self.serving.inputs(spec)
        return {pixels.name: torch.zeros(items, *pixels.fixed, dtype=torch.uint8)}

    def degenerate(self, spec: ImageSpec) -> Sequence[ImageInput]:
        """Black, white, and one pixel on black."""
        size = (spec.height, spec.width, 3)
        black, white, dot = np.zeros(size, np.uint8), np.full(size, 255, np.uint8), np.zeros(size, np.uint8)
        dot[0, 0] = 255
        return [
            ImageInput(pixels_HW3=pixels_HW3, format="", width=1, height=1, region=(0, 0, 1, 1))
            for pixels_HW3 in (black, white, dot)
        ]

    def transfer(
        self,
        name: str,
        source: Tensor,
        target: Tensor,
        new: Reading[ImageSpec, None],
        old: Reading[ImageSpec, None],
    ) -> int | None:
        return None

    def size(self, item: ImageInput) -> float:
        return math.sqrt(item.width * item.height)

    def view(self, raw: bytes, item: ImageInput, section: ImageAttention, spec: ImageSpec) -> ImageView:
        return view_image(raw, spec, section)


def _change(
    decoded: DecodedImage, rng: np.random.Generator, *, config: ImageAugment, spec: ImageSpec
) -> DecodedImage:
    return augment_image(decoded, config, spec, rng)


IMAGE = TrainingImage()
