"""Pretrained image encoders (ViT, DINOv2, SigLIP, ConvNeXt and their kin): pixels to a grid of tokens.

Shape letters: N images, H W pixels, C cells of the grid, H width of the source, D ours.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

from triad_serving.contract.errors import ConfigError
from triad_serving.media.image.spec import ImageSpec
from triad_training.media.pretrained.backbone import Backbone, Projection, nothing_to_encode
from triad_training.media.pretrained.config import PretrainedImageConfig
from triad_training.media.pretrained.source import load_model, load_processor, model_shape


class PretrainedImageEncoder(nn.Module):
    """Pixels scaled as the source wants them, its network, a projection; class tokens are left out."""

    def __init__(self, spec: ImageSpec, encoder: PretrainedImageConfig, *, width: int) -> None:
        super().__init__()
        self.cells = spec.rows * spec.columns
        model = load_model(encoder, "image")
        self.options = _options(model)
        self.backbone = Backbone(model, encoder)
        self.hidden_size = _run(model, spec.height).shape[2]
        self.project = Projection(self.hidden_size, width)
        factor, offset = _scaling(load_processor(encoder, "image"))
        self.register_buffer("factor", factor)
        self.register_buffer("offset", offset)
        self.factor: Tensor
        self.offset: Tensor

    def forward(self, pixels_NHW3: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB; returns tokens_NCD and mask_NC, cells row by row."""
        hidden_NCH, mask_NC = self.hidden(pixels_NHW3)
        return self.project(hidden_NCH), mask_NC

    def hidden(self, pixels_NHW3: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise; returns hidden_NCH and mask_NC."""
        if nothing_to_encode(pixels_NHW3):
            return self.project.nothing(self.cells)
        mask_NC = torch.ones(pixels_NHW3.shape[0], self.cells, dtype=torch.bool, device=pixels_NHW3.device)
        scaled = pixels_NHW3.float() * self.factor - self.offset
        hidden = self.backbone.model(pixel_values=scaled.permute(0, 3, 1, 2), **self.options)
        return _tokens(hidden.last_hidden_state)[:, -self.cells :], mask_NC


def image_spec(spec: ImageSpec, encoder: PretrainedImageConfig) -> ImageSpec:
    """`spec` at the size that the source reads, and with its grid. Raises ConfigError."""
    side = encoder.size or _side(load_processor(encoder, "image"), encoder)
    model = model_shape(encoder, "image")
    try:
        tokens = _run(model, side).shape[1]
    except (
        RuntimeError,
        ValueError,
    ) as error:  # smaller than a patch, or than its halvings leave anything of
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"model.image_encoder.size: {encoder.source} cannot read {side} x {side} pixels ({reason})."
        ) from error
    rows = side // _patch(model)
    if rows * rows > tokens:  # a net that goes on halving its patches
        rows = math.isqrt(tokens)
    return dataclasses.replace(spec, height=side, width=side, rows=rows, columns=rows)


def _patch(model: Any) -> int:
    """Pixels from one patch to the next."""
    patch = getattr(model.config, "patch_size", 1)
    return int(patch if isinstance(patch, int) else patch[0])


def _tokens(hidden: Tensor) -> Tensor:
    """tokens_NLD of a transformer's [N, L, D] or a convolution net's [N, D, rows, columns]."""
    return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden


def _options(model: Any) -> dict[str, bool]:
    """Position embeddings are stretched where the images are not of the size of the pre-training."""
    known = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
    return {"interpolate_pos_encoding": True} if known else {}


@torch.no_grad()
def _run(model: Any, side: int) -> Tensor:
    """Tokens of one black square."""
    device = next(model.parameters()).device
    black = torch.zeros(1, 3, side, side, device=device)
    return _tokens(model.eval()(pixel_values=black, **_options(model)).last_hidden_state)


def _side(processor: Any, encoder: PretrainedImageConfig) -> int:
    """Of the square that the processor makes: its crop, or its size."""
    for size in (getattr(processor, "crop_size", None), processor.size):
        if size and size.height and size.height == size.width:
            return int(size.height)
        if size and size.shortest_edge:
            return int(size.shortest_edge)
    raise ConfigError(
        f"model.image_encoder.source: {encoder.source} does not read squares; name the size to use as "
        "model.image_encoder.size."
    )


def _scaling(processor: Any) -> tuple[Tensor, Tensor]:
    """Factor and offset, [3] each, so that pixels * factor - offset is what the processor would make."""
    rescale = float(processor.rescale_factor) if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return torch.full((3,), rescale), torch.zeros(3)
    mean, deviation = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    return rescale / deviation, mean / deviation
