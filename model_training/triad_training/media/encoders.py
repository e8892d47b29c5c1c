"""Three encoders: raw media to tokens of one width, with a mask of the valid ones.

Shape letters: N items of one medium, L words, H W pixels, C cells, T samples, F frames, S sound tokens,
M mel bands, D width. Every item is encoded on its own: nothing mixes across N, and padding never leaks.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.text.spec import PAD_ID, POS_TAGS, TextSpec
from triad_training.config.train_config import Features
from triad_training.layers.distributed import BatchNorm
from triad_training.media.audio.front_end import LogMel, first

BAND_HALVINGS = 3  # of the mel bands, before they are joined
# Of word embeddings at first. Torch's own 1 is noise that rare words keep: of 8 987 headlines it learnt to
# tell 74.6 % of the topics of others, with this 82.7.
WORD_DEVIATION = 0.02
# Added to a score that shall count nothing: far below any real one, and still a 16-bit float. A Where that
# puts something in its place takes ONNX Runtime twice as long.
MASKED = -3e4


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward (Xiong et al. 2020, arXiv:2002.04745)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.head_width = width // heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens_NLD: Tensor, mask_NL: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens, and how much each attends to each, by head: [N, heads, L, L], rows that sum to 1.

        Every item needs at least one valid token.
        """
        items, length, _ = tokens_NLD.shape
        mixed_width = self.project.weight.shape[1]  # fewer heads than at first where they were pruned
        heads = mixed_width // self.head_width
        qkv = self.qkv(self.attention_norm(tokens_NLD)).reshape(items, length, 3 * heads, self.head_width)
        q, k, v = qkv.transpose(1, 2).split(heads, dim=1)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head_width)
        # Half the nodes of torch's own attention, exported.
        weights_NHLL = masked_softmax(scores, mask_NL[:, None, None, :])
        mixed_NLD = (weights_NHLL @ v).transpose(1, 2).reshape(items, length, mixed_width)
        attended_NLD = tokens_NLD + self.dropout(self.project(mixed_NLD))
        fed_NLD: Tensor = attended_NLD + self.dropout(self.feed_forward(attended_NLD))
        return fed_NLD, weights_NHLL


class TextEncoder(nn.Module):
    """Word, part-of-speech and position embeddings, then self-attention over the words."""

    def __init__(self, spec: TextSpec, words: int, *, width: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=PAD_ID)
        nn.init.normal_(self.words.weight, std=WORD_DEVIATION)
        self.pos = nn.Embedding(1 + len(POS_TAGS), width, padding_idx=PAD_ID) if spec.pos else None
        self.positions = nn.Parameter(0.02 * torch.randn(spec.max_tokens, width))
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, token_ids_NL: Tensor, pos_ids_NL: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """int64 ids; returns tokens_NLD and mask_NL."""
        mask_NL = token_ids_NL != PAD_ID
        tokens_NLD = self.words(token_ids_NL) + self.positions[: token_ids_NL.shape[1]]
        if self.pos is not None:
            tokens_NLD = tokens_NLD + self.pos(pos_ids_NL)
        for layer in self.layers:
            tokens_NLD, _ = layer(tokens_NLD, mask_NL)
        return self.norm(tokens_NLD), mask_NL


class ImageEncoder(nn.Module):
    """A convolution net down to the spec's grid of cells."""

    def __init__(self, spec: ImageSpec, *, width: int) -> None:
        super().__init__()
        self.cells = spec.rows * spec.columns
        halvings = _halvings(spec)
        channels = [3, *(max(width * 2**i // 2**halvings, 8) for i in range(1, halvings + 1))]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [_conv2d(before, after, stride=2), _conv2d(after, after)]
        self.net = nn.Sequential(*layers)
        self.cell_positions = nn.Parameter(0.02 * torch.randn(self.cells, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels_NHW3: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB; returns tokens_NCD and mask_NC, cells row by row."""
        items = pixels_NHW3.shape[0]
        mask_NC = torch.ones(items, self.cells, dtype=torch.bool, device=pixels_NHW3.device)
        features = self.net(_standardise(pixels_NHW3.permute(0, 3, 1, 2).float()))
        tokens_NCD = features.flatten(2).transpose(1, 2)
        return self.norm(tokens_NCD + self.cell_positions), mask_NC


class AudioEncoder(nn.Module):
    """Log-mel front end, convolutions over bands and time, then over time alone.

    One token comes out per `frames_per_token` frames. On noisy speech, convolutions that share their weights
    over the bands, too, were right in 74 % where those over time alone were in 70 (TriDigits, five epochs).
    """

    def __init__(
        self,
        spec: AudioSpec,
        *,
        width: int,
        mels: int,
        dropout: float,
        features: Features = "log_mel",
        denoise: bool = False,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.front_end = LogMel(spec, mels, features=features, denoise=denoise)
        halvings = _exact_log2(spec.frames_per_token, "audio.frames_per_token")
        stages = max(BAND_HALVINGS, halvings) + 1
        channels = [1, width * 3 // 8, width * 3 // 4, *[width] * (stages - 2)]
        self.time_strides = [2 if i < halvings else 1 for i in range(stages)]
        self.over_bands = nn.ModuleList(
            _conv2d(before, after, stride=(2 if i < BAND_HALVINGS else 1, self.time_strides[i]))
            for i, (before, after) in enumerate(itertools.pairwise(channels))
        )
        bands = math.ceil(self.front_end.bands / 2**BAND_HALVINGS)
        self.join = nn.Conv1d(width * bands, width, 1)  # a MatMul would refuse zero sounds in ONNX Runtime
        self.over_time = nn.ModuleList(_conv1d(width, width, dilation=dilation) for dilation in (1, 2))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """int16 samples and how many are valid; returns tokens_NSD and mask_NS."""
        starts_N = sample_counts_N - self.spec.window + 1
        x_NMF, mask_NF = self.front_end(samples_NT, starts_N)
        step = self.spec.hop
        x_NCMF = x_NMF[:, None]
        for layer, stride in zip(self.over_bands, self.time_strides, strict=True):
            x_NCMF = layer(x_NCMF)
            if stride > 1:
                step *= stride
                mask_NF = first(starts_N, x_NCMF.shape[3], step=step)
            x_NCMF = x_NCMF * mask_NF[:, None, None]  # so that padding is zeros for the next, however long
        x_NDF = self.join(x_NCMF.flatten(1, 2)) * mask_NF[:, None]
        for layer in self.over_time:
            x_NDF = (x_NDF + layer(x_NDF)) * mask_NF[:, None]
        return self.norm(self.dropout(x_NDF).transpose(1, 2)), mask_NF


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis; exactly 0 where the mask is false."""
    return (scores + torch.where(mask, 0.0, MASKED).to(scores.dtype)).softmax(dim=-1)


def _standardise(x_N3HW: Tensor) -> Tensor:
    """Zero mean and unit variance per image: exposure and contrast carry no meaning."""
    centred = x_N3HW - x_N3HW.mean((1, 2, 3), keepdim=True)
    return centred / ((centred * centred).mean((1, 2, 3), keepdim=True) + 1).sqrt()


def _conv2d(before: int, after: int, *, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, BatchNorm(after), nn.ReLU())


def _conv1d(before: int, after: int, *, dilation: int) -> nn.Sequential:
    conv = nn.Conv1d(before, after, 3, dilation=dilation, padding=dilation, bias=False)
    return nn.Sequential(conv, BatchNorm(after), nn.ReLU())


def _halvings(spec: ImageSpec) -> int:
    down, across = spec.height / spec.rows, spec.width / spec.columns
    if down != across or not down.is_integer():
        raise ConfigError("image: height / rows and width / columns must be one whole number.")
    return _exact_log2(int(down), "image: height / rows")


def _exact_log2(value: int, what: str) -> int:
    if value < 1 or value & (value - 1):
        raise ConfigError(f"{what} must be a power of two, not {value}.")
    return value.bit_length() - 1
