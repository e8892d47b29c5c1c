"""From samples to features, as layers of the graph: log-mel energies or MFCC, without noise where asked.

Shape letters: N sounds, T samples, F frames, M mel bands (or coefficients), K frequency bins.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.config import Features, SpectrumAugment

FULL_SCALE = 32768  # of 16-bit samples
LOG_FLOOR = 1e-10  # power; below the quantisation noise of 16-bit samples
DYNAMIC_RANGE = 6.0  # log10 of power (60 dB) kept below the loudest point; Whisper's audio.py keeps 8

# Noise floor of a band: its smallest power over so many frames together (minimum statistics, Martin 2001),
# times a factor for the minimum lying below the mean and to subtract a little more (Berouti et al. 1979);
# a share of the floor stays, so that what is subtracted does not ring.
NOISE_FRAMES = 9
NOISE_FACTOR = 2.0
NOISE_KEPT = 0.1


class LogMel(nn.Module):
    """Log-mel energies as layers: windowed cosine and sine kernels, then the mel matrix as a 1x1 convolution.

    Values lie in [-1, 1], relative to the loudest point of the sound: neither its loudness nor how much
    silence surrounds it matters. (Standardising each clip, or each band, in place of that changed nothing
    beyond chance: TriDigits, sound alone.) As MFCC, their cosine transform, lower half.
    """

    def __init__(
        self, spec: AudioSpec, mels: int, *, features: Features = "log_mel", denoise: bool = False
    ) -> None:
        super().__init__()
        self.hop, self.hop_s = spec.hop, spec.hop / spec.sample_rate_hz
        self.denoise = denoise
        self.augment = SpectrumAugment()
        self.register_buffer("kernels", fourier_kernels(spec.window), persistent=False)
        mel = mel_matrix(spec, mels)
        self.register_buffer("mel", torch.cat([mel, mel], dim=1)[:, :, None], persistent=False)
        cosines = cosine_matrix(mels)[:, :, None] if features == "mfcc" else None
        self.register_buffer("cosines", cosines, persistent=False)
        self.kernels: Tensor
        self.mel: Tensor
        self.cosines: Tensor | None
        self.bands = mels if cosines is None else len(cosines)

    def forward(self, samples_NT: Tensor, starts_N: Tensor) -> tuple[Tensor, Tensor]:
        """starts_N: samples of each sound at which a whole window may start.

        Returns features_NMF, 0 past each sound's frames, and mask_NF.
        """
        parts_N2F = F.conv1d(samples_NT[:, None].float(), self.kernels / FULL_SCALE, stride=self.hop)
        energy_NMF = F.conv1d(parts_N2F * parts_N2F, self.mel)  # of real and imaginary parts alike
        mask_NF = first(starts_N, energy_NMF.shape[2], step=self.hop)
        if self.denoise:
            energy_NMF = subtract_noise(energy_NMF, mask_NF)
        # Not a sum: the exporter's optimizer takes a constant below 1e-8 for 0, and log10 meets silence.
        log_NMF = energy_NMF.clamp(min=LOG_FLOOR).log10()
        lowest = math.log10(LOG_FLOOR)
        loudest_N11 = torch.where(mask_NF[:, None], log_NMF, lowest).amax((1, 2), keepdim=True)
        relative = (log_NMF - loudest_N11).clamp(min=-DYNAMIC_RANGE)
        features_NMF = 1 + relative / (DYNAMIC_RANGE / 2)
        if self.training:
            features_NMF = hide_parts(features_NMF, mask_NF, self.augment, self.hop_s)
        if self.cosines is not None:
            features_NMF = F.conv1d(features_NMF, self.cosines)
        return features_NMF * mask_NF[:, None], mask_NF


def subtract_noise(energy_NMF: Tensor, mask_NF: Tensor) -> Tensor:
    """Power less the noise floor of its band, which the quietest moments of the sound tell."""
    valid_N1F = mask_NF[:, None].to(energy_NMF.dtype)
    share_N1F = _mean_around(valid_N1F).clamp(min=1 / NOISE_FRAMES)
    smooth_NMF = _mean_around(energy_NMF * valid_N1F) / share_N1F
    largest = torch.finfo(smooth_NMF.dtype).max
    quietest = torch.where(mask_NF[:, None], smooth_NMF, largest).amin(2, keepdim=True)
    floor_NM1 = NOISE_FACTOR * quietest
    return torch.maximum(energy_NMF - floor_NM1, NOISE_KEPT * floor_NM1)


def _mean_around(x_NMF: Tensor) -> Tensor:
    return F.avg_pool1d(x_NMF, NOISE_FRAMES, stride=1, padding=NOISE_FRAMES // 2)


def hide_parts(features_NMF: Tensor, mask_NF: Tensor, augment: SpectrumAugment, hop_s: float) -> Tensor:
    """SpecAugment (Park et al. 2019, arXiv:1904.08779): stretches of time and of bands become the mean."""
    if not (augment.time_s or augment.bands):
        return features_NMF
    _, bands, frames = features_NMF.shape
    valid_NMF = mask_NF[:, None].expand_as(features_NMF)
    mean_N11 = (features_NMF * valid_NMF).sum((1, 2), keepdim=True) / valid_NMF.sum((1, 2), keepdim=True)
    hidden_NMF = torch.zeros_like(valid_NMF)
    counts_N = mask_NF.sum(1)
    all_bands_N = torch.full_like(counts_N, bands)
    for _ in range(augment.masks):
        hidden_NMF = hidden_NMF | _stretch(counts_N, frames, augment.time_s / hop_s)[:, None, :]
        hidden_NMF = hidden_NMF | _stretch(all_bands_N, bands, augment.bands * bands)[:, :, None]
    return torch.where(hidden_NMF, mean_N11, features_NMF)


def _stretch(counts_N: Tensor, length: int, longest: float) -> Tensor:
    """[N, length]: true along one random stretch among the first counts_N[n], at most `longest` long."""
    width_N, begin_N = torch.rand(2, len(counts_N), device=counts_N.device)
    width_N = torch.minimum(width_N * longest, counts_N.float())
    begin_N = begin_N * (counts_N - width_N)
    places = torch.arange(length, device=counts_N.device)
    hidden_NL: Tensor = (places >= begin_N[:, None]) & (places < (begin_N + width_N)[:, None])
    return hidden_NL


def fourier_kernels(window: int) -> Tensor:
    """[2 (window // 2 + 1), 1, window]: cosines, then negative sines, each under a periodic Hann window.

    Convolving with them gives real and imaginary part of torch.stft(n_fft=window, center=False).
    """
    hann_T = torch.hann_window(window, periodic=True, dtype=torch.float64)
    frequency_K = torch.arange(window // 2 + 1, dtype=torch.float64)
    angle_KT = 2 * math.pi * frequency_K[:, None] * torch.arange(window, dtype=torch.float64) / window
    return torch.cat([angle_KT.cos() * hann_T, -angle_KT.sin() * hann_T])[:, None].float()


def mel_matrix(spec: AudioSpec, mels: int) -> Tensor:
    """[mels, window // 2 + 1]: triangles of height 1, evenly spaced on the mel scale up to half the rate.

    Source: HTK's mel scale, 2595 log10(1 + f / 700) (Young et al., The HTK Book, section 5.4).
    """
    nyquist_hz = spec.sample_rate_hz / 2
    top = 2595 * math.log10(1 + nyquist_hz / 700)
    edge_hz = 700 * (10 ** (torch.linspace(0, top, mels + 2, dtype=torch.float64) / 2595) - 1)
    bin_hz = torch.linspace(0, nyquist_hz, spec.window // 2 + 1, dtype=torch.float64)
    low, centre, high = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    rising, falling = (bin_hz - low) / (centre - low), (high - bin_hz) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0).float()


def cosine_matrix(mels: int) -> Tensor:
    """[(mels + 1) // 2, mels]: the orthonormal DCT-II that makes MFCC of log-mel energies, its lower half.

    The upper half holds what differs between neighbouring bands: pitch and noise.
    """
    order_K = torch.arange((mels + 1) // 2, dtype=torch.float64)[:, None]
    band_M = torch.arange(mels, dtype=torch.float64) + 0.5
    matrix_KM = math.sqrt(2 / mels) * torch.cos(math.pi / mels * order_K * band_M)
    matrix_KM[0] /= math.sqrt(2)
    return matrix_KM.float()


def first(counts_N: Tensor, length: int, *, step: int = 1) -> Tensor:
    """mask_NF of `length` places, `step` apart: true for those within the first counts_N[n]."""
    mask_NF: Tensor = torch.arange(0, length * step, step, device=counts_N.device) < counts_N[:, None]
    return mask_NF
