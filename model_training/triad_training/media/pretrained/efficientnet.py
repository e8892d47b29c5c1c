"""EfficientNet-Lite: convolutions that a phone computes quickly, by EfficientNet-PyTorch's names of arrays.

Source: architecture and numbers of tensorflow/tpu, models/official/efficientnet/lite (Tan & Le 2019,
arXiv:1905.11946, without squeeze-and-excitation and with ReLU6); names of lukemelas/EfficientNet-PyTorch:
`_blocks.3._expand_conv.weight`.

Shape letters: N images, C channels, H W pixels.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.errors import ConfigError

Variant: TypeAlias = Literal["lite0", "lite1", "lite2", "lite3", "lite4"]

MODEL_TYPE = "efficientnet_lite"
EPSILON = 1e-3  # of every normalisation: TensorFlow's, not torch's 1e-5
STEM, HEAD = 32, 1280  # channels, the same in every variant
CHANNEL_STEP = 8
CLASSIFIER = "fc."


class Scale(NamedTuple):
    """Factors on channels and repetitions, and the side of the square that it was trained on, pixels."""

    width: float
    depth: float
    side: int


SCALES: Mapping[Variant, Scale] = {
    "lite0": Scale(1.0, 1.0, 224),
    "lite1": Scale(1.0, 1.1, 240),
    "lite2": Scale(1.1, 1.2, 260),
    "lite3": Scale(1.2, 1.4, 280),
    "lite4": Scale(1.4, 1.8, 300),
}


class Stage(NamedTuple):
    """Equal blocks, of which the first has the stride and the change of channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True, kw_only=True)
class EfficientNetConfig:
    """Written into a bundle as image_encoder.json."""

    variant: Variant
    model_type: str = MODEL_TYPE

    @property
    def pixels(self) -> EfficientNetPixels:
        side = SCALES[self.variant].side
        return EfficientNetPixels(size=Square(side, side))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)


class Square(NamedTuple):
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class EfficientNetPixels:
    """How pixels are scaled, in the terms of an image processor of transformers: (pixel - 127) / 128."""

    size: Square
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: tuple[float, float, float] = (127 / 255,) * 3
    image_std: tuple[float, float, float] = (128 / 255,) * 3


class Features(NamedTuple):
    """last_hidden_state: [N, 1280, H / 32, W / 32], rounded up."""

    last_hidden_state: Tensor


class EfficientNetLite(nn.Module):
    """Without its classifier. Normalisation keeps the statistics of the pre-training, whatever is tuned."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_stem = SameConv(3, STEM, kernel=3, stride=2)
        self.bn0 = KeptNorm(STEM, eps=EPSILON)
        self.blocks = nn.ModuleList(_blocks(SCALES[config.variant]))
        last = self.blocks[-1]
        assert isinstance(last, Block)
        self.conv_head = SameConv(last.project_conv.out_channels, HEAD, kernel=1)
        self.bn1 = KeptNorm(HEAD, eps=EPSILON)

    def forward(self, pixel_values: Tensor) -> Features:
        """pixel_values: [N, 3, H, W], scaled as EfficientNetPixels says."""
        x_NCHW = F.relu6(self.bn0(self.conv_stem(pixel_values)))
        for block in self.blocks:
            x_NCHW = block(x_NCHW)
        return Features(F.relu6(self.bn1(self.conv_head(x_NCHW))))


class Block(nn.Module):
    """MBConv: more channels, a convolution within each, fewer channels; the input is added where it fits."""

    def __init__(self, inner: int, outer: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inner * expansion
        self.adds = stride == 1 and inner == outer
        self.expand_conv = SameConv(inner, wide, kernel=1) if expansion > 1 else None
        self.bn0 = KeptNorm(wide, eps=EPSILON) if expansion > 1 else None
        self.depthwise_conv = SameConv(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.bn1 = KeptNorm(wide, eps=EPSILON)
        self.project_conv = SameConv(wide, outer, kernel=1)
        self.bn2 = KeptNorm(outer, eps=EPSILON)

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        x_NCHW = inputs_NCHW
        if self.expand_conv is not None and self.bn0 is not None:
            x_NCHW = F.relu6(self.bn0(self.expand_conv(x_NCHW)))
        x_NCHW = F.relu6(self.bn1(self.depthwise_conv(x_NCHW)))
        outputs_NCHW: Tensor = self.bn2(self.project_conv(x_NCHW))
        return outputs_NCHW + inputs_NCHW if self.adds else outputs_NCHW


class SameConv(nn.Conv2d):
    """TensorFlow's "SAME": as many outputs as strides begin in the input; an odd zero goes right and below.

    Heights and widths are fixed in a graph, so that its padding is a constant of the convolution.
    """

    def __init__(self, inner: int, outer: int, *, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inner, outer, kernel, stride, groups=groups, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        height, width = (_zeros(side, kernel, stride) for side in x_NCHW.shape[2:])
        if height == width and height % 2 == 0:
            return F.conv2d(x_NCHW, self.weight, None, stride, height // 2, 1, self.groups)
        sides = (width // 2, width - width // 2, height // 2, height - height // 2)
        return F.conv2d(F.pad(x_NCHW, sides), self.weight, None, stride, 0, 1, self.groups)


class KeptNorm(nn.BatchNorm2d):
    """Scale and shift may be tuned; the statistics of a few pictures would be worse than ImageNet's."""

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 (as torch calls it)
        return super().train(False)


def describes_efficientnet(path: Path) -> bool:
    """Whether a bundle's image_encoder.json is of this kind."""
    document = json.loads(path.read_text("utf-8"))
    return isinstance(document, dict) and document.get("model_type") == MODEL_TYPE


def load_efficientnet(path: Path) -> EfficientNetLite:
    """path: a checkpoint, whose arrays say the variant, or a bundle's description. Raises ConfigError."""
    if path.suffix == ".json":
        return EfficientNetLite(EfficientNetConfig(**json.loads(path.read_text("utf-8")))).eval()
    arrays = {name: array for name, array in _read(path).items() if not name.startswith(CLASSIFIER)}
    model = EfficientNetLite(EfficientNetConfig(variant=_variant(arrays, path)))
    model.load_state_dict(arrays)
    return model.float().eval()


def efficientnet_shape(path: Path) -> EfficientNetLite:
    """Likewise, without weights: on torch's meta device."""
    if path.suffix != ".json":
        config = EfficientNetConfig(variant=_variant(_read(path), path))
    else:
        config = EfficientNetConfig(**json.loads(path.read_text("utf-8")))
    with torch.device("meta"):
        return EfficientNetLite(config).eval()


def _read(path: Path) -> dict[str, Tensor]:
    """By our names, which lack the leading underscores. Raises ConfigError; runs no code of the file."""
    try:
        arrays: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(
            f"model.image_encoder.source: {path} is no checkpoint of arrays: {reason}."
        ) from error
    if not isinstance(arrays, Mapping) or not all(isinstance(array, Tensor) for array in arrays.values()):
        raise ConfigError(f"model.image_encoder.source: {path} holds more than arrays by name.")
    return {name.removeprefix("_").replace("._", "."): array for name, array in arrays.items()}


def _variant(arrays: Mapping[str, Tensor], path: Path) -> Variant:
    """Raises ConfigError where the arrays are those of no variant."""
    shapes = {name: array.shape for name, array in arrays.items() if not name.startswith(CLASSIFIER)}
    for variant in SCALES:
        with torch.device("meta"):
            model = EfficientNetLite(EfficientNetConfig(variant=variant))
        if shapes == {name: array.shape for name, array in model.state_dict().items()}:
            return variant
    raise ConfigError(
        f"model.image_encoder.source: {path} does not hold the arrays of an EfficientNet-Lite "
        f"({', '.join(SCALES)}) in the names of EfficientNet-PyTorch."
    )


def _blocks(scale: Scale) -> Iterator[Block]:
    channels = STEM
    for n, stage in enumerate(STAGES):
        outer = _rounded(stage.channels * scale.width)
        ends = n in (0, len(STAGES) - 1)  # which no variant repeats
        for repeat in range(stage.repeats if ends else math.ceil(stage.repeats * scale.depth)):
            yield Block(
                channels,
                outer,
                kernel=stage.kernel,
                stride=1 if repeat else stage.stride,
                expansion=stage.expansion,
            )
            channels = outer


def _rounded(channels: float) -> int:
    """To a multiple of CHANNEL_STEP, never more than a tenth down."""
    rounded = max(CHANNEL_STEP, int(channels + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return rounded + CHANNEL_STEP if rounded < 0.9 * channels else rounded


def _zeros(side: int, kernel: int, stride: int) -> int:
    """How many in all."""
    return max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
