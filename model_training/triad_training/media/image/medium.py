"""An image as a medium that a model learns."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triad_serving.contract.tasks import Task
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.image.medium import IMAGE as SERVING
from triad_serving.media.image.schemas import ImageAttention
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.medium import Medium
from triad_training.layers.expert import Expert
from triad_training.media.config import AugmentConfig, EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.corruption import Corruption
from triad_training.media.file_medium import FileMedium
from triad_training.media.image.augment import augment_image
from triad_training.media.image.config import ImageAugment
from triad_training.media.image.corruption import CORRUPTIONS
from triad_training.media.image.encoder import ImageEncoder
from triad_training.media.image.expert import ImageExpert
from triad_training.media.image.pretrained import PretrainedImageEncoder, image_spec
from triad_training.media.image.stored import IMAGE_AS_READ, PICTURE, ImageLoader
from triad_training.media.image.view import ImageView, view_image
from triad_training.media.medium import Change
from triad_training.media.pretrained.source import network_files, processor_files
from triad_training.media.stored import Files, StoredForm
from triad_training.media.style import MediumStyle


class TrainingImage(FileMedium):
    """See TrainingMedium."""

    serving: Medium[ImageSpec, None, bytes, DecodedImage, ImageInput] = SERVING
    forms: tuple[StoredForm, ...] = (IMAGE_AS_READ, PICTURE)
    as_read = IMAGE_AS_READ
    as_decoded = PICTURE
    aligned_inputs: tuple[str, ...] = ()
    style = MediumStyle(colour="#4bb5a2", marker="s")
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    size_label = "side of an image, pixels (root of area)"
    parts_label = "image cells"
    hidden_label = "a hidden cell has the image's mean colour"
    attended_label = "bright image parts"

    def column(self, data: MediaColumns) -> str:
        return data.image

    def fit_spec(self, spec: ImageSpec, model: EncodersConfig) -> ImageSpec:
        return image_spec(spec, model.image_encoder) if model.image_encoder else spec

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

    def build_experts(
        self, config: MediaConfig, spec: ImageSpec, asset: None, encoder: nn.Module, tasks: Sequence[Task]
    ) -> dict[str, Expert]:
        return {"statistics": ImageExpert(spec, tasks)}

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

    def size(self, item: ImageInput) -> float:
        return math.sqrt(item.width * item.height)

    def view(self, raw: bytes, item: ImageInput, section: ImageAttention, spec: ImageSpec) -> ImageView:
        return view_image(raw, spec, section)


def _change(
    decoded: DecodedImage, rng: np.random.Generator, *, config: ImageAugment, spec: ImageSpec
) -> DecodedImage:
    return augment_image(decoded, config, spec, rng)


IMAGE = TrainingImage()
