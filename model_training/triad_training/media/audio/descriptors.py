"""What a sound is like from moment to moment, one value per 10 ms each: layers of the graph without a weight.

Shape letters: N sounds, T samples, F frames, K frequency bins, B bands, M mel bands, P pitches, C series.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_training.media.audio.front_end import LOG_FLOOR, cosine_matrix, fourier_kernels

WINDOW_S, HOP_S = 0.025, 0.01
MELS, COEFFICIENTS, LOWEST_HZ = 40, 20, 50.0
DYNAMIC_RANGE = 6.0  # log10 of power (60 dB) kept below the loudest point, as in LogMel
BROAD_HZ = (
    0,
    250,
    650,
    1000,
    2000,
    4000,
    8000,
)  # where broad bands begin; ComParE measures 250 to 650 Hz, too
COMPRESSION = 0.3  # loudness grows as about this power of energy (Stevens 1957)
ROLL_OFF = (0.5, 0.85)  # shares of the energy
ROLL_OFF_SOFTNESS = 0.05

# Pitch: autocorrelation over that of the window (Boersma 1993), of a slower wave. A softmax takes the place
# of choosing a period; longer ones cost a little, because multiples of a period correlate as well as it does.
PITCH_RATE_HZ, PITCH_WINDOW_S = 4000, 0.05
PITCH_LOWEST_HZ, PITCH_OCTAVES, PITCH_STEPS = 60.0, 3, 24
PITCH_SHARPNESS, OCTAVE_COST = 100.0, 0.05
LOW_PASS_SAMPLES = 8  # of the slower wave
INAUDIBLE = 1e-7  # power of a pitch window; silence has no pitch


class Spectrum(nn.Module):
    """Log-mel energies and MFCC, relative to the loudest point of the sound, and the spectrum's shape."""

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        step = decimation(rate_hz)
        self.hop = max(round(HOP_S * rate_hz / step), 1) * step
        self.window = 2 * round(WINDOW_S * rate_hz / 2)
        bin_hz = torch.linspace(0, rate_hz / 2, self.window // 2 + 1, dtype=torch.float64)
        mel_MK, centre_hz = _mel_bands(bin_hz, rate_hz / 2)
        begins_hz = [hz for hz in BROAD_HZ if hz < rate_hz / 2]
        limits = itertools.pairwise([*begins_hz, math.inf])
        broad = torch.stack([((bin_hz >= low) & (bin_hz < high)).float() for low, high in limits])
        bands_BK = torch.cat([mel_MK, broad])
        octave_M = torch.log2(centre_hz / 1000)
        low = octave_M < 0
        tilts_CM = torch.stack([_slope_weights(octave_M, among) for among in (low | ~low, low, ~low)])
        buffers = {
            "kernels": fourier_kernels(self.window),
            "bands": torch.cat([bands_BK, bands_BK], dim=1)[:, :, None],  # of real and imaginary parts alike
            "cosines": cosine_matrix(MELS)[:, :, None],
            "octave": octave_M.float()[None, :, None],
            "tilts": tilts_CM.float()[:, :, None],
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)
        self.kernels: Tensor
        self.bands: Tensor
        self.cosines: Tensor
        self.octave: Tensor
        self.tilts: Tensor
        self.names = (
            *(f"band at {hz:.0f} Hz" for hz in centre_hz.tolist()),
            *(f"MFCC {k}" for k in range(COEFFICIENTS)),
            *(f"share from {hz} Hz" for hz in begins_hz),
            *("level", "loudness", "centroid", "spread", "asymmetry", "entropy", "flatness", "flux"),
            *("tilt", "tilt below 1 kHz", "tilt above 1 kHz", "contrast", "ripple"),
            *(f"roll-off at {share:.0%}" for share in ROLL_OFF),
        )

    def forward(self, wave_NT: Tensor, starts_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """wave_NT: full scale = 1; starts_N: samples of each sound at which a whole window may start.

        Returns series_NCF in the order of names, amplitude_N1F, at most 1, and mask_N1F.
        """
        parts_N2F = F.conv1d(wave_NT[:, None], self.kernels, stride=self.hop)
        begins_F = torch.arange(parts_N2F.shape[2], device=wave_NT.device) * self.hop
        mask_N1F = (begins_F < starts_N[:, None])[:, None].float()
        power_NBF = (F.conv1d(parts_N2F.square(), self.bands) * mask_N1F).clamp(min=LOG_FLOOR)
        log_NBF = power_NBF.log10()
        log_NMF = log_NBF[:, :MELS]
        relative_NMF = (log_NMF - log_NMF.amax((1, 2), keepdim=True)).clamp(min=-DYNAMIC_RANGE)
        total_N1F = power_NBF[:, MELS:].sum(1, keepdim=True).log10()
        level_N1F = (total_N1F - total_N1F.amax(2, keepdim=True)).clamp(min=-DYNAMIC_RANGE)
        above_NMF = relative_NMF + DYNAMIC_RANGE
        mfcc_NCF = F.conv1d(above_NMF, self.cosines)
        left_NMF = above_NMF - F.conv1d(mfcc_NCF, self.cosines.transpose(0, 1))  # pitch, noise between bands
        loudness_N1F, flux_N1F = _loudness_and_flux(relative_NMF)
        series = [
            above_NMF,
            mfcc_NCF,
            (log_NBF[:, MELS:] - total_N1F).clamp(min=-DYNAMIC_RANGE),
            level_N1F + DYNAMIC_RANGE,
            loudness_N1F,
            self._shape(power_NBF[:, :MELS], log_NMF),
            flux_N1F,
            F.conv1d(relative_NMF, self.tilts),
            relative_NMF.amax(1, keepdim=True) - relative_NMF.mean(1, keepdim=True),
            (left_NMF.square().mean(1, keepdim=True) + 1e-4).sqrt(),
            _roll_off(power_NBF[:, :MELS]),
        ]
        return torch.cat(series, dim=1), 10 ** (level_N1F / 2), mask_N1F

    def _shape(self, power_NMF: Tensor, log_NMF: Tensor) -> Tensor:
        """Centroid and spread in octaves, asymmetry, entropy and flatness of the energy over mel bands."""
        total_N1F = power_NMF.sum(1, keepdim=True)
        share_NMF = power_NMF / total_N1F
        centroid_N1F = (share_NMF * self.octave).sum(1, keepdim=True)
        away_NMF = self.octave - centroid_N1F
        spread_N1F = ((share_NMF * away_NMF.square()).sum(1, keepdim=True) + 1e-2).sqrt()
        asymmetry_N1F = (share_NMF * away_NMF.pow(3)).sum(1, keepdim=True) / spread_N1F.pow(3)
        entropy_N1F = -(share_NMF * share_NMF.clamp(min=1e-9).log()).sum(1, keepdim=True)
        flatness_N1F = log_NMF.mean(1, keepdim=True) - (total_N1F / MELS).log10()
        return torch.cat([centroid_N1F, spread_N1F, asymmetry_N1F, entropy_N1F, flatness_N1F], dim=1)


class Pitch(nn.Module):
    """Pitch in octaves above PITCH_LOWEST_HZ; how periodic the sound is, from 0 to 1, and as a log ratio."""

    names = ("pitch", "voicing", "harmonics to noise")

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        self.step = decimation(rate_hz)
        slow_hz = rate_hz / self.step
        self.window = 2 * round(PITCH_WINDOW_S * slow_hz / 2)
        self.hop = max(round(HOP_S * rate_hz / self.step), 1) * self.step
        taps = (self.window - 1) * self.step + LOW_PASS_SAMPLES * self.step
        self.before = (taps - 2 * round(WINDOW_S * rate_hz / 2)) // 2  # the centres of both windows coincide
        self.after = taps
        octaves = min(PITCH_OCTAVES, math.log2(slow_hz / 4 / PITCH_LOWEST_HZ))
        octave_P = torch.arange(int(octaves * PITCH_STEPS) + 1, dtype=torch.float64) / PITCH_STEPS
        lags_PK = _autocorrelation(self.window, slow_hz / (PITCH_LOWEST_HZ * 2**octave_P))
        buffers = {
            "low_pass": _low_pass(self.step),
            "kernels": fourier_kernels(self.window),
            "lags": torch.cat([lags_PK, lags_PK], dim=1)[:, :, None],
            "octave": octave_P.float()[None, :, None],
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)
        self.low_pass: Tensor
        self.kernels: Tensor
        self.lags: Tensor
        self.octave: Tensor

    def forward(self, wave_NT: Tensor, frames: int) -> Tensor:
        """Series_NCF in the order of names, of the first `frames` frames."""
        padded_NT = F.pad(wave_NT, (self.before, self.after))
        slow_N1T = F.conv1d(padded_NT[:, None], self.low_pass, stride=self.step)
        parts_N2F = F.conv1d(slow_N1T, self.kernels, stride=self.hop // self.step)[:, :, :frames]
        found_NPF = F.conv1d(parts_N2F.square(), self.lags)
        correlation_NPF = found_NPF[:, :-1] / (found_NPF[:, -1:] + INAUDIBLE)
        salience_NPF = PITCH_SHARPNESS * (correlation_NPF + OCTAVE_COST * self.octave)
        chance_NPF = salience_NPF.softmax(1)
        pitch_N1F = (chance_NPF * self.octave).sum(1, keepdim=True)
        voicing_N1F = (chance_NPF * correlation_NPF).sum(1, keepdim=True).clamp(0, 1)
        near_N1F = voicing_N1F.clamp(0.01, 0.99)
        return torch.cat([pitch_N1F, voicing_N1F, (near_N1F / (1 - near_N1F)).log10()], dim=1)


def decimation(rate_hz: int) -> int:
    """Of the wave whose pitch is looked for; hops of both are whole multiples of it."""
    return max(rate_hz // PITCH_RATE_HZ, 1)


def _loudness_and_flux(relative_NMF: Tensor) -> tuple[Tensor, Tensor]:
    """Compressed energy, and how much its pattern over the bands changes from one frame to the next."""
    heard_NMF = 10 ** (COMPRESSION * relative_NMF)
    pattern_NMF = heard_NMF / heard_NMF.sum(1, keepdim=True)
    change_N1F = (pattern_NMF[:, :, 1:] - pattern_NMF[:, :, :-1]).abs().sum(1, keepdim=True)
    return 4 * heard_NMF.mean(1, keepdim=True), F.pad(change_N1F, (1, 0))


def _roll_off(power_NMF: Tensor) -> Tensor:
    """Above which share of the bands less than each share of the energy lies, softly."""
    below_NMF = power_NMF.cumsum(1) / power_NMF.sum(1, keepdim=True)
    shares = [
        torch.sigmoid((below_NMF - share) / ROLL_OFF_SOFTNESS).mean(1, keepdim=True) for share in ROLL_OFF
    ]
    return 4 * torch.cat(shares, dim=1)


def _mel_bands(bin_hz: Tensor, nyquist_hz: float) -> tuple[Tensor, Tensor]:
    """Triangles from LOWEST_HZ up, [MELS, K], and their centres; the scale of front_end.mel_matrix."""
    low, top = (2595 * math.log10(1 + hz / 700) for hz in (LOWEST_HZ, nyquist_hz))
    edge_hz = 700 * (10 ** (torch.linspace(low, top, MELS + 2, dtype=torch.float64) / 2595) - 1)
    before, centre, after = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    rising, falling = (bin_hz - before) / (centre - before), (after - bin_hz) / (after - centre)
    return torch.minimum(rising, falling).clamp(min=0).float(), edge_hz[1:-1]


def _slope_weights(x_M: Tensor, among_M: Tensor) -> Tensor:
    """Their sum with any y_M is the slope of least squares of y over x, of those chosen."""
    away_M = (x_M - x_M[among_M].mean()) * among_M
    return away_M / away_M.square().sum().clamp(min=1e-9)


def _autocorrelation(window: int, lag_P: Tensor) -> Tensor:
    """[P + 1, K]: of a power spectrum, the autocorrelation at lags over the window's; then the power."""
    bins = window // 2 + 1
    angle_PK = 2 * math.pi * lag_P[:, None] * torch.arange(bins, dtype=torch.float64) / window
    weight_K = torch.full((bins,), 2.0, dtype=torch.float64)  # each bin stands for its mirror image, too
    weight_K[0] = weight_K[-1] = 1
    hann_K = torch.fft.rfft(torch.hann_window(window, dtype=torch.float64)).abs().square() * weight_K
    own_P = (angle_PK.cos() @ hann_K) / hann_K.sum()
    weight_K[0] = 0  # what is constant has no period
    return torch.cat([angle_PK.cos() * weight_K / own_P[:, None], weight_K[None]]).float()


def _low_pass(step: int) -> Tensor:
    """A sinc under a Hann window."""
    taps = LOW_PASS_SAMPLES * step
    place_T = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    hann_T = torch.hann_window(taps + 2, periodic=False, dtype=torch.float64)[1:-1]
    kernel_T = torch.sinc(0.8 * place_T / step) * hann_T
    return (kernel_T / kernel_T.sum()).float()[None, None]
