"""Our own sound encoder: samples to tokens.

Shape letters: N sounds, T samples, F frames, S sound tokens, M mel bands, D width. Every sound is encoded on
its own, and padding never leaks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from torch import Tensor, nn

from triad_serving.media.audio.spec import AudioSpec
from triad_training.layers.convolution import conv1d, conv2d, exact_log2
from triad_training.layers.prunable import Group, Part, chained_channels, channels
from triad_training.media.audio.config import Features
from triad_training.media.audio.front_end import LogMel, first

BAND_HALVINGS = 3  # of the mel bands, before they are joined


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
        halvings = exact_log2(spec.frames_per_token, "audio.frames_per_token")
        stages = max(BAND_HALVINGS, halvings) + 1
        sizes = [1, width * 3 // 8, width * 3 // 4, *[width] * (stages - 2)]
        self.time_strides = [2 if i < halvings else 1 for i in range(stages)]
        self.over_bands = nn.ModuleList(
            conv2d(before, after, stride=(2 if i < BAND_HALVINGS else 1, self.time_strides[i]))
            for i, (before, after) in enumerate(itertools.pairwise(sizes))
        )
        bands = math.ceil(self.front_end.bands / 2**BAND_HALVINGS)
        self.join = nn.Conv1d(width * bands, width, 1)  # a MatMul would refuse zero sounds in ONNX Runtime
        self.over_time = nn.ModuleList(conv1d(width, width, dilation=dilation) for dilation in (1, 2))
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

    def prunable(self, name: str) -> Iterator[Group]:
        """The channels between its convolutions over bands, and those that are joined."""
        blocks = [f"{name}.over_bands.{i}" for i in range(len(self.over_bands))]
        yield from chained_channels(blocks)
        last = self.get_parameter(f"over_bands.{len(blocks) - 1}.0.weight").shape[0]
        joined = Part(tensor=f"{name}.join.weight", axis=1, inner=self.join.weight.shape[1] // last)
        yield Group(parts=(*channels(blocks[-1]), joined))
