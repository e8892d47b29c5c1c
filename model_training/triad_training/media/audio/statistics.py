"""What a whole sound is like, in numbers that a linear classifier can use: layers without a weight.

Shape letters: N sounds, T samples, F frames, C series, K kernels, W weights of frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.descriptors import COEFFICIENTS, MELS, Pitch, Spectrum
from triad_training.media.audio.front_end import FULL_SCALE, first

MOMENTS = (
    *("mean", "mean where loud", "deviation", "deviation where loud"),
    *("skewness", "peakedness", "highest", "lowest"),
)
SLOPE_FRAMES = 2  # to each side
SLOPE_SCALE = 10.0  # so that slopes are of the order of values
MODULATION_HZ = (1, 2, 3, 4, 6, 8, 11, 16, 22)
MODULATION_S, MODULATION_HOP_S = 0.5, 0.12
MODULATED_MFCC = 13
SMALLEST_VARIANCE = 1e-6
SMOOTHING = 1e-2  # of a variance that something is divided by


class SoundStatistics(nn.Module):
    """Moments, extremes, trend and modulation of the descriptors' series, of their slopes and slopes' slopes.

    Neither how loud the sound is nor how much padding follows it matters. With logistic regression as good as
    the 6373 features of openSMILE's ComParE 2016 (Schuller et al. 2016), whose families they follow.
    """

    def __init__(self, spec: AudioSpec) -> None:
        super().__init__()
        self.spectrum, self.pitch = Spectrum(spec.sample_rate_hz), Pitch(spec.sample_rate_hz)
        hop_s = self.spectrum.hop / spec.sample_rate_hz
        self.modulation_window = round(MODULATION_S / hop_s)
        self.modulation_hop = round(MODULATION_HOP_S / hop_s)
        modulation = _fourier_kernels(self.modulation_window, hop_s)
        self.register_buffer("modulation", modulation, persistent=False)
        self.register_buffer("slope", _slope_kernel(), persistent=False)
        self.modulation: Tensor
        self.slope: Tensor
        self.series = (*self.spectrum.names, *self.pitch.names)
        self.names = tuple(self._list_names())
        self.size = len(self.names)

    def forward(self, samples_NT: Tensor, sample_counts_N: Tensor) -> Tensor:
        """int16 samples and how many are valid, at least one; returns features_NF, `size` of each sound."""
        window, hop = self.spectrum.window, self.spectrum.hop
        valid_NT = first(sample_counts_N, samples_NT.shape[1])
        wave_NT = F.pad(samples_NT.float() / FULL_SCALE * valid_NT, (0, window + 8 * hop))
        starts_N = (sample_counts_N - window + 1).clamp(min=1)
        spectral_NCF, amplitude_N1F, mask_N1F = self.spectrum(wave_NT, starts_N)
        x_NCF = torch.cat([spectral_NCF, self.pitch(wave_NT, spectral_NCF.shape[2])], dim=1)
        weights_NWF = torch.cat([mask_N1F, mask_N1F * amplitude_N1F], dim=1)
        centred_NCF, moments = _moments(x_NCF, weights_NWF)
        found = [*moments, *_trend(centred_NCF, mask_N1F), self._modulation(centred_NCF, mask_N1F)]
        for _ in range(2):
            x_NCF, weights_NWF = self._slopes(x_NCF, weights_NWF)
            centred_NCF, moments = _moments(SLOPE_SCALE * x_NCF, weights_NWF)
            found += [*moments, _mean(centred_NCF.abs(), weights_NWF[:, :1])]
        return torch.cat(found, dim=1)

    def _slopes(self, x_NCF: Tensor, weights_NWF: Tensor) -> tuple[Tensor, Tensor]:
        """Per frame, and weights: none where a slope would need a frame that is not the sound's."""
        frames = x_NCF.shape[2] - 2 * SLOPE_FRAMES
        own_N1F = weights_NWF[:, :1, 2 * SLOPE_FRAMES :]
        slopes_NCF = F.conv2d(x_NCF[:, None], self.slope)[:, 0]
        return slopes_NCF, weights_NWF[:, :, SLOPE_FRAMES : SLOPE_FRAMES + frames] * own_N1F

    def _modulation(self, centred_NCF: Tensor, mask_N1F: Tensor) -> Tensor:
        """Log power at MODULATION_HZ of each modulated series, mean over windows of half a second."""
        chosen = [centred_NCF[:, MELS : MELS + MODULATED_MFCC], centred_NCF[:, MELS + COEFFICIENTS :]]
        padded_NCF = F.pad(torch.cat(chosen, dim=1), (0, self.modulation_window))
        stride = (1, self.modulation_hop)
        real_NKCF, imaginary_NKCF = F.conv2d(padded_NCF[:, None], self.modulation, stride=stride).chunk(2, 1)
        power_NKCF = real_NKCF.square() + imaginary_NKCF.square()
        counts_N = mask_N1F.sum((1, 2))
        begins_F = torch.arange(power_NKCF.shape[3], device=counts_N.device) * self.modulation_hop
        mask_NF = (begins_F < counts_N[:, None]).float()
        mean_NKC = (power_NKCF * mask_NF[:, None, None]).sum(3) / mask_NF.sum(1)[:, None, None]
        return (mean_NKC + SMOOTHING).log().flatten(1)

    def _list_names(self) -> Iterator[str]:
        for statistic in (*MOMENTS, "trend", "bend"):
            yield from (f"{series}: {statistic}" for series in self.series)
        modulated = (*self.series[MELS : MELS + MODULATED_MFCC], *self.series[MELS + COEFFICIENTS :])
        for hz in MODULATION_HZ:
            yield from (f"{series}: modulation at {hz} Hz" for series in modulated)
        for order in ("slope", "slope of slope"):
            for statistic in (*MOMENTS, "size"):
                yield from (f"{series}, {order}: {statistic}" for series in self.series)


def _moments(x_NCF: Tensor, weights_NWF: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The series less their mean, 0 where a frame does not count; and what MOMENTS says, each [N, C]."""
    shares_NFW = (weights_NWF / weights_NWF.sum(2, keepdim=True).clamp(min=1e-6)).transpose(1, 2)
    mean_NC1 = x_NCF @ shares_NFW[:, :, :1]
    centred_NCF = (x_NCF - mean_NC1) * weights_NWF[:, :1]
    square_NCF = centred_NCF.square()
    away_NCW = centred_NCF @ shares_NFW
    variance_NCW = (square_NCF @ shares_NFW - away_NCW.square()).clamp(min=0)
    third_NC = _mean(square_NCF * centred_NCF, weights_NWF[:, :1])
    fourth_NC = _mean(square_NCF.square(), weights_NWF[:, :1])
    smooth_NC = variance_NCW[:, :, 0] + SMOOTHING
    return centred_NCF, [
        *(mean_NC1 + away_NCW).unbind(2),
        *(variance_NCW + SMALLEST_VARIANCE).sqrt().unbind(2),
        third_NC / smooth_NC.pow(1.5),
        (fourth_NC + SMOOTHING**2).log() - 2 * smooth_NC.log(),
        centred_NCF.amax(2),
        centred_NCF.amin(2),
    ]


def _trend(centred_NCF: Tensor, mask_N1F: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance with time, which runs from -1 to 1, and with its square."""
    count_N11 = mask_N1F.sum(2, keepdim=True)
    time_N1F = (2 * mask_N1F.cumsum(2) - count_N11 - 1) / count_N11
    return _mean(centred_NCF * time_N1F, mask_N1F), _mean(centred_NCF * time_N1F.square(), mask_N1F)


def _mean(x_NCF: Tensor, mask_N1F: Tensor) -> Tensor:
    """Of series that are 0 where the mask is."""
    return x_NCF.sum(2) / mask_N1F.sum(2).clamp(min=1)


def _slope_kernel() -> Tensor:
    """[1, 1, 1, frames]: the slope of least squares."""
    frame_F = torch.arange(-SLOPE_FRAMES, SLOPE_FRAMES + 1, dtype=torch.float64)
    return (frame_F / frame_F.square().sum()).float()[None, None, None]


def _fourier_kernels(window: int, hop_s: float) -> Tensor:
    """[2 K, 1, 1, window]: cosines, then sines, of MODULATION_HZ under a Hann window."""
    hann_F = torch.hann_window(window, dtype=torch.float64)
    cycles_K = torch.tensor(MODULATION_HZ, dtype=torch.float64) * hop_s
    angle_KF = 2 * math.pi * cycles_K[:, None] * torch.arange(window, dtype=torch.float64)
    return torch.cat([angle_KF.cos() * hann_F, angle_KF.sin() * hann_F])[:, None, None].float()
