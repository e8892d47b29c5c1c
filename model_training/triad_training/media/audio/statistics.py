"""What a whole sound is like, in numbers that a linear classifier can use: layers of the graph without a weight.

Shape letters: N sounds, T samples, F frames, K frequency bins, M mel bands, P pitches, C series, W weights.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.front_end import FULL_SCALE, LOG_FLOOR, cosine_matrix, first, fourier_kernels

WINDOW_S, HOP_S = 0.025, 0.01
MELS, LOWEST_HZ = 40, 50.0
RANGE = 6.0  # log10 of power kept below the loudest point, as in LogMel
BROAD_HZ = (0, 250, 650, 1000, 2000, 4000, 8000)  # edges of broad bands
COMPRESSION = 0.3  # loudness grows as this power of energy (Stevens; openSMILE's auditory spectra: 0.33)

# Pitch: normalised autocorrelation (Boersma 1993), of a slower wave.
PITCH_RATE_HZ, PITCH_WINDOW_S = 4000, 0.05
PITCH_LOW_HZ, PITCH_STEPS, PITCH_OCTAVES = 60.0, 24, 3  # steps per octave
PITCH_SHARPNESS = 40.0  # of the softmax that takes the place of a choice
OCTAVE_COST = 0.02  # per octave: a period's multiples correlate as well as itself

DELTA_FRAMES = 2  # to each side
MODULATION_HZ = (1, 2, 3, 4, 6, 8, 11, 16, 22)
MODULATION_S, MODULATION_HOP_S = 0.5, 0.12
MODULATED_MFCC = 13
SMALLEST = 1e-6


class SoundStatistics(nn.Module):
    """Pooled statistics of series of features, one value each per 10 ms.

    Neither how loud the sound is nor how much padding follows it matters.
    """

    def __init__(self, spec: AudioSpec) -> None:
        super().__init__()
        self.spectrum, self.pitch = _Spectrum(spec.sample_rate_hz), _Pitch(spec.sample_rate_hz)
        self.series = (*self.spectrum.names, *self.pitch.names)
        kernel = torch.arange(-DELTA_FRAMES, DELTA_FRAMES + 1) / (2 * sum(i * i for i in range(DELTA_FRAMES + 1)))
        self.register_buffer("slope", kernel[None, None].float(), persistent=False)
        hop_s = self.spectrum.hop / spec.sample_rate_hz
        self.modulation_window = round(MODULATION_S / hop_s)
        self.modulation_hop = round(MODULATION_HOP_S / hop_s)
        kernels = _kernels(self.modulation_window, torch.tensor(MODULATION_HZ) * hop_s)
        self.register_buffer("modulation", kernels, persistent=False)
        self.slope: Tensor
        self.modulation: Tensor
        self.names = tuple(self._names())
        self.size = len(self.names)

    def forward(self, samples_NT: Tensor, sample_counts_N: Tensor) -> Tensor:
        """int16 samples and how many are valid, at least one; returns features_NF of `size` columns."""
        window, hop = self.spectrum.window, self.spectrum.hop
        valid_NT = first(sample_counts_N, samples_NT.shape[1])
        wave_NT = F.pad(samples_NT.float() / FULL_SCALE * valid_NT, (0, window + 8 * hop))
        spectral_NCF, energy_N1F = self.spectrum(wave_NT)
        frames = spectral_NCF.shape[2]
        pitch_NCF = self.pitch(wave_NT)[:, :, :frames]
        starts_N = (sample_counts_N - window + 1).clamp(min=1)
        mask_N1F = first(starts_N, frames, step=hop)[:, None].float()
        x_NCF = torch.cat([spectral_NCF, pitch_NCF], dim=1)
        weights_NWF = torch.cat([torch.ones_like(energy_N1F), energy_N1F], dim=1)
        counts_N1 = mask_N1F.sum(2)
        return torch.cat([
            *self._of_values(x_NCF, weights_NWF, mask_N1F),
            *self._of_slopes(x_NCF, weights_NWF, mask_N1F, counts_N1),
        ], dim=1)

    def _of_values(self, x_NCF: Tensor, weights_NWF: Tensor, mask_N1F: Tensor) -> list[Tensor]:
        means_NCW, deviations_NCW, centred_NCF = _spread(x_NCF, weights_NWF * mask_N1F)
        count_N1 = mask_N1F.sum(2)
        tau_N1F = (mask_N1F.cumsum(2) - (count_N1[:, :, None] + 1) / 2) / count_N1[:, :, None] * 2 * mask_N1F
        trend_NC = (centred_NCF * tau_N1F).sum(2) / count_N1
        bend_NC = (centred_NCF * (tau_N1F.square() - 1 / 3)).sum(2) / count_N1
        variance_NC = centred_NCF.square().sum(2) / count_N1
        skew_NC = centred_NCF.pow(3).sum(2) / count_N1 / (variance_NC + 1e-2).pow(1.5)
        peaked_NC = (centred_NCF.pow(4).sum(2) / count_N1 + 1e-4).log() - 2 * (variance_NC + 1e-2).log()
        most_NC, least_NC = centred_NCF.amax(2), centred_NCF.amin(2)
        modulated_NCF = torch.cat([centred_NCF[:, MELS : MELS + MODULATED_MFCC], centred_NCF[:, MELS + 20 :]], dim=1)
        return [
            *means_NCW.unbind(2), *deviations_NCW.unbind(2), trend_NC, bend_NC, skew_NC, peaked_NC, most_NC,
            least_NC, self._modulation(modulated_NCF, count_N1),
        ]

    def _of_slopes(
        self, x_NCF: Tensor, weights_NWF: Tensor, mask_N1F: Tensor, counts_N1: Tensor
    ) -> list[Tensor]:
        found = []
        for _ in range(2):
            x_NCF = _each(x_NCF, self.slope)
            counts_N1 = (counts_N1 - 2 * DELTA_FRAMES).clamp(min=0)
            weights_NWF = weights_NWF[:, :, DELTA_FRAMES:-DELTA_FRAMES]
            own_N1F = first(counts_N1[:, 0], x_NCF.shape[2])[:, None].float()
            means_NCW, deviations_NCW, centred_NCF = _spread(10 * x_NCF, weights_NWF * own_N1F)
            variance_NC = deviations_NCW[:, :, 0].square()
            safe_N1 = counts_N1.clamp(min=1)
            skew_NC = centred_NCF.pow(3).sum(2) / safe_N1 / (variance_NC + 1e-2).pow(1.5)
            peaked_NC = (centred_NCF.pow(4).sum(2) / safe_N1 + 1e-4).log() - 2 * (variance_NC + 1e-2).log()
            size_NC = centred_NCF.abs().sum(2) / safe_N1
            found += [*means_NCW.unbind(2), *deviations_NCW.unbind(2), skew_NC, peaked_NC, centred_NCF.amax(2), centred_NCF.amin(2), size_NC]
        return found

    def _modulation(self, centred_NCF: Tensor, count_N1: Tensor) -> Tensor:
        """Log energies at MODULATION_HZ of each series, mean over windows of half a second."""
        padded_NCF = F.pad(centred_NCF, (0, self.modulation_window))
        parts_NCKF = _each(padded_NCF, self.modulation, stride=self.modulation_hop)
        k = len(MODULATION_HZ)
        power_NCKF = parts_NCKF[:, :, :k].square() + parts_NCKF[:, :, k:].square()
        mask_NF = first(count_N1[:, 0], parts_NCKF.shape[3], step=self.modulation_hop)
        mean_NCK = (power_NCKF * mask_NF[:, None, None]).sum(3) / mask_NF.sum(1)[:, None, None]
        return (mean_NCK + 1e-2).log().flatten(1)

    def _names(self):
        weights = ("", " of energy")
        def of(*kinds): 
            for kind in kinds:
                for s in self.series: yield f"{s}: {kind}"
        yield from of(*(f"mean{w}" for w in weights), *(f"deviation{w}" for w in weights), "trend", "bend", "skew", "peak", "max", "min")
        for s in (*self.series[MELS:MELS+MODULATED_MFCC], *self.series[MELS+20:]):
            for hz in MODULATION_HZ: yield f"{s}: modulation {hz}"
        for o in ("slope", "slope of slope"):
            yield from of(*(f"{o} mean{w}" for w in weights), *(f"{o} deviation{w}" for w in weights), *(f"{o} {k}" for k in ("skew","peak","max","min","size")))


class _Spectrum(nn.Module):
    """Series of log-mel energies, MFCC and the spectrum's shape, and the energy that weighs moments."""

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        step = _decimation(rate_hz)
        self.hop = max(round(HOP_S * rate_hz / step), 1) * step
        self.window = 2 * round(WINDOW_S * rate_hz / 2)
        self.register_buffer("kernels", fourier_kernels(self.window), persistent=False)
        bin_hz = torch.linspace(0, rate_hz / 2, self.window // 2 + 1, dtype=torch.float64)
        mel_MK, centre_hz = _mel(bin_hz, rate_hz / 2)
        edges = [e for e in BROAD_HZ if e < rate_hz / 2] + [math.inf]
        broad = torch.stack([((bin_hz >= a) & (bin_hz < b)).float() for a, b in itertools.pairwise(edges)])
        bands = torch.cat([mel_MK, broad])
        self.register_buffer("bands", torch.cat([bands, bands], dim=1)[:, :, None], persistent=False)
        self.register_buffer("cosines", cosine_matrix(MELS)[:, :, None], persistent=False)
        octave_M = torch.log2(centre_hz / 1000)
        self.register_buffer("octave", octave_M.float()[None, :, None], persistent=False)
        low = octave_M < 0
        tilts = torch.stack([_regression(octave_M, octave_M > -99), _regression(octave_M, low), _regression(octave_M, ~low)])
        self.register_buffer("tilts", tilts.float()[:, :, None], persistent=False)
        self.names = (
            *(f"band {hz:.0f} Hz" for hz in centre_hz), *(f"MFCC {k}" for k in range(MELS // 2)),
            *(f"share {e:.0f} Hz" for e in edges[:-1]), "level", "loudness", "centroid", "spread", "asymmetry", "entropy", "flatness", "flux",
            "tilt", "low tilt", "high tilt", "contrast", "ripple", "rolloff 50 %", "rolloff 85 %",
        )

    def forward(self, wave_NT: Tensor) -> tuple[Tensor, Tensor]:
        parts_N2F = F.conv1d(wave_NT[:, None], self.kernels, stride=self.hop)
        bands_NBF = F.conv1d(parts_N2F.square(), self.bands).clamp(min=LOG_FLOOR)
        log_NBF = bands_NBF.log10()
        mel_NMF, broad_NBF = bands_NBF[:, :MELS], bands_NBF[:, MELS:]
        loudest_N11 = log_NBF[:, :MELS].amax((1, 2), keepdim=True)
        relative_NMF = (log_NBF[:, :MELS] - loudest_N11).clamp(min=-RANGE) + RANGE
        total_N1F = broad_NBF.sum(1, keepdim=True)
        level_N1F = total_N1F.log10()
        level_N1F = (level_N1F - level_N1F.amax(2, keepdim=True)).clamp(min=-RANGE)
        energy_N1F = 10 ** (level_N1F / 2)
        shares_NBF = log_NBF[:, MELS:] - total_N1F.log10()
        shares_NBF = shares_NBF.clamp(min=-RANGE)
        share_NMF = mel_NMF / mel_NMF.sum(1, keepdim=True)
        centre_N1F = (share_NMF * self.octave).sum(1, keepdim=True)
        away_NMF = self.octave - centre_N1F
        spread_N1F = ((share_NMF * away_NMF.square()).sum(1, keepdim=True) + 1e-2).sqrt()
        asymmetry_N1F = (share_NMF * away_NMF.pow(3)).sum(1, keepdim=True) / spread_N1F.pow(3)
        entropy_N1F = -(share_NMF * share_NMF.clamp(min=1e-9).log()).sum(1, keepdim=True)
        flatness_N1F = log_NBF[:, :MELS].mean(1, keepdim=True) - mel_NMF.mean(1, keepdim=True).log10()
        heard_NMF = 10 ** (COMPRESSION * (relative_NMF - RANGE))
        loudness_N1F = heard_NMF.mean(1, keepdim=True)
        pattern_NMF = heard_NMF / heard_NMF.sum(1, keepdim=True)
        flux_N1F = (pattern_NMF[:, :, 1:] - pattern_NMF[:, :, :-1]).abs().sum(1, keepdim=True)
        flux_N1F = F.pad(flux_N1F, (1, 0))
        mfcc_NCF = F.conv1d(relative_NMF, self.cosines)
        tilts_NCF = F.conv1d(relative_NMF, self.tilts)
        contrast_N1F = relative_NMF.amax(1, keepdim=True) - relative_NMF.mean(1, keepdim=True)
        ripple_N1F = (relative_NMF.square().sum(1, keepdim=True) - mfcc_NCF.square().sum(1, keepdim=True)).clamp(min=0)
        ripple_N1F = (ripple_N1F / MELS + 1e-4).sqrt()
        below_NMF = share_NMF.cumsum(1)
        rolloffs = [torch.sigmoid((below_NMF - q) / 0.05).mean(1, keepdim=True) * 4 for q in (0.5, 0.85)]
        series = [relative_NMF, mfcc_NCF, shares_NBF, level_N1F + RANGE, loudness_N1F * 4, centre_N1F, spread_N1F, asymmetry_N1F, entropy_N1F, flatness_N1F, flux_N1F, tilts_NCF, contrast_N1F, ripple_N1F, *rolloffs]
        return torch.cat(series, dim=1), energy_N1F


class _Pitch(nn.Module):
    names = ("pitch", "voicing", "harmonics")

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        self.step = _decimation(rate_hz)
        slow_hz = rate_hz / self.step
        self.window = 2 * round(PITCH_WINDOW_S * slow_hz / 2)
        self.hop = max(round(HOP_S * rate_hz / self.step), 1)
        self.before = (self.window - round(WINDOW_S * slow_hz)) // 2
        taps = 8 * self.step
        place = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
        sinc = torch.sinc(place / self.step * 0.8) * torch.hann_window(taps + 2, periodic=False, dtype=torch.float64)[1:-1]
        self.register_buffer("low_pass", (sinc / sinc.sum()).float()[None, None], persistent=False)
        self.register_buffer("kernels", fourier_kernels(self.window), persistent=False)
        bins = self.window // 2 + 1
        highest = min(PITCH_OCTAVES, math.log2(slow_hz / 4 / PITCH_LOW_HZ))
        octave_P = torch.arange(int(highest * PITCH_STEPS) + 1, dtype=torch.float64) / PITCH_STEPS
        lag_P = slow_hz / (PITCH_LOW_HZ * 2**octave_P)
        angle_PK = 2 * math.pi * lag_P[:, None] * torch.arange(bins, dtype=torch.float64) / self.window
        weight_K = torch.full((bins,), 2.0, dtype=torch.float64)
        weight_K[0] = weight_K[-1] = 1
        hann_K = torch.fft.rfft(torch.hann_window(self.window, dtype=torch.float64)).abs().square() * weight_K
        own_P = (angle_PK.cos() @ hann_K) / hann_K.sum()
        weight_K[0] = 0
        lag_PK = angle_PK.cos() * weight_K / own_P[:, None]
        matrix = torch.cat([lag_PK, weight_K[None]]).float()
        self.register_buffer("lags", torch.cat([matrix, matrix], dim=1)[:, :, None], persistent=False)
        self.register_buffer("octave", octave_P.float()[None, :, None], persistent=False)

    def forward(self, wave_NT: Tensor) -> Tensor:
        taps = self.low_pass.shape[2]
        slow_N1T = F.conv1d(F.pad(wave_NT[:, None], (taps // 2, taps // 2)), self.low_pass, stride=self.step)
        parts_N2F = F.conv1d(F.pad(slow_N1T, (self.before, self.window)), self.kernels, stride=self.hop)
        found_NPF = F.conv1d(parts_N2F.square(), self.lags)
        correlation_NPF = found_NPF[:, :-1] / (found_NPF[:, -1:] + 1e-7)
        chance_NPF = ((correlation_NPF + OCTAVE_COST * self.octave) * PITCH_SHARPNESS).softmax(1)
        pitch_N1F = (chance_NPF * self.octave).sum(1, keepdim=True)
        voicing_N1F = (chance_NPF * correlation_NPF).sum(1, keepdim=True).clamp(0, 1)
        near_N1F = voicing_N1F.clamp(0.01, 0.99)
        return torch.cat([pitch_N1F, voicing_N1F, (near_N1F / (1 - near_N1F)).log10()], dim=1)


def _spread(x_NCF: Tensor, weights_NWF: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted means_NCW and deviations_NCW; the series less its first mean, 0 where its first weight is."""
    shares_NFW = (weights_NWF / weights_NWF.sum(2, keepdim=True).clamp(min=SMALLEST)).transpose(1, 2)
    mean_NC1 = x_NCF @ shares_NFW[:, :, :1]
    centred_NCF = (x_NCF - mean_NC1) * (weights_NWF[:, :1] > 0)
    away_NCW = centred_NCF @ shares_NFW
    variance_NCW = (centred_NCF.square() @ shares_NFW - away_NCW.square()).clamp(min=0)
    return mean_NC1 + away_NCW, (variance_NCW + SMALLEST).sqrt(), centred_NCF


def _each(x_NCF: Tensor, kernels: Tensor, *, stride: int = 1) -> Tensor:
    """[N, C, K, F] of K kernels over time, each series alone; [N, C, F] of one kernel."""
    filtered = F.conv2d(x_NCF[:, None], kernels[:, :, None], stride=(1, stride))
    return filtered[:, 0] if len(kernels) == 1 else filtered.transpose(1, 2)


def _kernels(window: int, cycles_K: Tensor) -> Tensor:
    hann_T = torch.hann_window(window, periodic=True, dtype=torch.float64)
    angle_KT = 2 * math.pi * cycles_K[:, None].double() * torch.arange(window, dtype=torch.float64)
    return torch.cat([angle_KT.cos() * hann_T, -angle_KT.sin() * hann_T])[:, None].float()


def _mel(bin_hz: Tensor, nyquist_hz: float) -> tuple[Tensor, Tensor]:
    low, top = (2595 * math.log10(1 + hz / 700) for hz in (LOWEST_HZ, nyquist_hz))
    edge_hz = 700 * (10 ** (torch.linspace(low, top, MELS + 2, dtype=torch.float64) / 2595) - 1)
    a, b, c = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    return torch.minimum((bin_hz - a) / (b - a), (c - bin_hz) / (c - b)).clamp(min=0).float(), edge_hz[1:-1]


def _regression(x_M: Tensor, among_M: Tensor) -> Tensor:
    """Weights whose sum with y_M is the slope of y over x, of the chosen ones."""
    away_M = (x_M - x_M[among_M].mean()) * among_M
    return away_M / away_M.square().sum()


def _decimation(rate_hz: int) -> int:
    return max(rate_hz // PITCH_RATE_HZ, 1)
