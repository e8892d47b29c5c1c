"""Whisper's encoder: log-mel front end in the graph, then as many positions as the sound needs.

Shape letters: N sounds, T samples, F frames, S tokens (one per two frames), M mel bands, H width of
Whisper, D ours.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.front_end import FULL_SCALE, LOG_FLOOR, first, fourier_kernels
from triad_training.media.pretrained.backbone import Backbone, Projection, attention_bias, nothing_to_encode
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.source import load_model, load_processor

DYNAMIC_RANGE = 8.0  # log10 of power kept below the loudest point: WhisperFeatureExtractor
TAIL_FRAMES = 4  # behind the last token: whatever still hears the sound, and the convolutions' reach


class WhisperEncoder(nn.Module):
    """Whisper itself fills every sound up with silence to 30 s; here a sound has the tokens that it fills.

    Up to attention over that silence, which is left out, tokens are Whisper's own.
    """

    def __init__(self, spec: AudioSpec, encoder: PretrainedConfig, *, width: int) -> None:
        super().__init__()
        model, processor = load_model(encoder, "audio"), load_processor(encoder, "audio")
        self.spec = spec
        self.backbone = Backbone(model, encoder)
        self.hidden_size = int(model.config.d_model)
        self.project = Projection(self.hidden_size, width)
        mel_MK1 = torch.from_numpy(processor.mel_filters).float().T[:, :, None].contiguous()
        self.register_buffer("mel", mel_MK1)
        self.register_buffer("kernels", fourier_kernels(spec.window), persistent=False)
        self.mel: Tensor
        self.kernels: Tensor

    def forward(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """int16 samples and how many are valid; returns tokens_NSD and mask_NS."""
        hidden_NSH, mask_NS = self.hidden(samples_NT, sample_counts_N)
        return self.project(hidden_NSH), mask_NS

    def hidden(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise; returns hidden_NSH and mask_NS."""
        if nothing_to_encode(samples_NT):
            return self.project.nothing(1)
        model = self.backbone.model
        frames_N = (sample_counts_N - self.spec.window) // self.spec.hop + 1
        tokens_N = (frames_N + 1) // 2
        x_NHF = F.gelu(model.conv1(self._log_mel(samples_NT, tokens_N)))
        hidden_NSH = F.gelu(model.conv2(x_NHF)).transpose(1, 2)
        places = torch.arange(hidden_NSH.shape[1], device=samples_NT.device)
        positions_SH = model.embed_positions(places.clamp(max=model.max_source_positions - 1))
        hidden_NSH = F.dropout(hidden_NSH + positions_SH, model.dropout, self.training)
        mask_NS = first(tokens_N, hidden_NSH.shape[1])
        for layer in model.layers:
            hidden_NSH = layer(hidden_NSH, attention_bias(mask_NS))
        return model.layer_norm(hidden_NSH), mask_NS

    def _log_mel(self, samples_NT: Tensor, tokens_N: Tensor) -> Tensor:
        """WhisperFeatureExtractor's, with TAIL_FRAMES or more of silence behind each sound's tokens."""
        half = self.spec.window // 2
        wave_NT = samples_NT.float() / FULL_SCALE
        mirrored_NT = wave_NT.index_select(1, torch.arange(half, 0, -1, device=wave_NT.device))
        silence = (TAIL_FRAMES + 1) * self.spec.hop - half
        padded_N1T = F.pad(torch.cat([mirrored_NT, wave_NT], dim=1), (0, silence))[:, None]
        real, imaginary = F.conv1d(padded_N1T, self.kernels, stride=self.spec.hop).chunk(2, dim=1)
        energy_NMF = F.conv1d(real * real + imaginary * imaginary, self.mel)
        log_NMF = energy_NMF.clamp(min=LOG_FLOOR).log10()
        heard_NF = first(2 * tokens_N + TAIL_FRAMES, log_NMF.shape[2])
        loudest = log_NMF.masked_fill(~heard_NF[:, None], -torch.inf).amax((1, 2), keepdim=True)
        return (torch.maximum(log_NMF, loudest - DYNAMIC_RANGE) + 4) / 4


def whisper_spec(spec: AudioSpec, config: Any, processor: Any) -> AudioSpec:
    """`spec` with Whisper's framing. Raises ConfigError past its positions."""
    framed = dataclasses.replace(
        spec,
        sample_rate_hz=processor.sampling_rate,
        window=processor.n_fft,
        hop=processor.hop_length,
        frames_per_token=2,
    )
    heard_s = min(spec.window_s or spec.max_s, spec.max_s)
    longest_s = config.max_source_positions * framed.token_s
    if round(heard_s * framed.sample_rate_hz) > config.max_source_positions * framed.hop * 2:
        raise ConfigError(
            f"preprocess.audio.max_s: model.audio_encoder reads {longest_s:g} s, not {heard_s:g}; "
            f"preprocess.audio.window_s = {longest_s:g} gives it longer sounds in parts."
        )
    return framed
