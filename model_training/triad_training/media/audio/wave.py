"""Pretrained encoders of the wave itself: wav2vec2, HuBERT, WavLM, UniSpeech.

Shape letters: N sounds, T samples, C channels, F frames, S tokens (one per frame), D width of the
source, H heads.

The source's own layers are called one by one, because its `forward` lets padding leak into short sounds (the
first layer of the base models normalises over time) and masks in place, which no graph does over zero rows.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.front_end import FULL_SCALE, first
from triad_training.media.pretrained.backbone import Backbone, Projection, attention_bias, nothing_to_encode
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.source import load_model, load_processor

WAVE_TYPES = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")
VARIANCE_FLOOR = 1e-7  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


class WaveEncoder(nn.Module):
    """A sound's tokens are those that the source's model gives it alone, whatever padding follows."""

    def __init__(self, encoder: PretrainedConfig, *, width: int) -> None:
        super().__init__()
        model: Any = load_model(encoder, "audio")
        if getattr(model.encoder.pos_conv_embed, "batch_norm", None) is not None:
            raise ConfigError(
                f"model.audio_encoder.source: {encoder.source} normalises positions over the batch, so that "
                "answers would depend on neighbours; use another model."
            )
        self.gated = model.config.model_type == "wavlm"
        if self.gated:
            for layer in model.encoder.layers:
                layer.attention = GatedAttention(layer.attention)
        self.normalise = bool(load_processor(encoder, "audio").do_normalize)
        self.backbone = Backbone(model, encoder)
        self.hidden_size = int(model.config.hidden_size)
        self.project = Projection(self.hidden_size, width)

    def forward(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """int16 samples and how many are valid; returns tokens of our width and mask_NS."""
        hidden_NSD, mask_NS = self.hidden(samples_NT, sample_counts_N)
        return self.project(hidden_NSD), mask_NS

    def hidden(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise; returns hidden_NSD and mask_NS."""
        if nothing_to_encode(samples_NT):
            return self.project.nothing(1)
        features_NCF, mask_NF = self._features(self._scaled(samples_NT, sample_counts_N), sample_counts_N)
        # Without a product in between, ONNX Runtime fuses transposition and projection: not for zero rows.
        features_NFC = features_NCF.transpose(1, 2) * mask_NF[:, :, None]
        projected = self.backbone.model.feature_projection(features_NFC)
        hidden_NSD = projected[0] if isinstance(projected, tuple) else projected
        return self._attended(hidden_NSD * mask_NF[:, :, None], mask_NF), mask_NF

    def _scaled(self, samples_NT: Tensor, counts_N: Tensor) -> Tensor:
        """wave_NT in [-1, 1], or of zero mean and unit variance per sound where the source wants that."""
        wave_NT = samples_NT.float() / FULL_SCALE
        if not self.normalise:
            return wave_NT
        mask_NT = first(counts_N, wave_NT.shape[1])
        mean_N1, variance_N1 = _moments(wave_NT, mask_NT)
        return (wave_NT - mean_N1) / (variance_N1 + VARIANCE_FLOOR).sqrt() * mask_NT

    def _features(self, wave_NT: Tensor, counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """The convolutions; valid frames see valid samples only, so that just GroupNorm needs the mask."""
        x_NCF = wave_NT[:, None]
        for layer in self.backbone.model.feature_extractor.conv_layers:
            (kernel,), (stride,) = layer.conv.kernel_size, layer.conv.stride
            counts_N = (counts_N - kernel) // stride + 1
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                x_NCF = layer.conv(x_NCF)
                mean, variance = _moments(x_NCF, first(counts_N, x_NCF.shape[2])[:, None])
                scaled = (x_NCF - mean) / (variance + norm.eps).sqrt()
                x_NCF = layer.activation(scaled * norm.weight[:, None] + norm.bias[:, None])
            else:
                x_NCF = layer(x_NCF)
        return x_NCF, first(counts_N, x_NCF.shape[2])

    def _attended(self, hidden_NSD: Tensor, mask_NS: Tensor) -> Tensor:
        """Positions by convolution, then the layers; the large models normalise behind them, not before."""
        model = self.backbone.model
        encoder, norm_last = model.encoder, model.config.do_stable_layer_norm
        hidden_NSD = hidden_NSD + encoder.pos_conv_embed(hidden_NSD)
        hidden_NSD = encoder.dropout(hidden_NSD if norm_last else encoder.layer_norm(hidden_NSD))
        bias_N11S = attention_bias(mask_NS)
        places_HSS = encoder.layers[0].attention.places(mask_NS.shape[1]) if self.gated else None
        for layer in encoder.layers:
            if self.gated:
                hidden_NSD, _ = layer(hidden_NSD, attention_mask=bias_N11S, position_bias=places_HSS)
            else:
                hidden_NSD = layer(hidden_NSD, attention_mask=bias_N11S)
        attended_NSD: Tensor = encoder.layer_norm(hidden_NSD) if norm_last else hidden_NSD
        return attended_NSD


class GatedAttention(nn.Module):
    """WavLM's self-attention over a batch of any size (Chen et al. 2022, arXiv:2110.13900, section 3.1).

    In place of transformers' WavLMAttention, whose reshapes fail on a batch of no sounds.
    """

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.original = original

    def places(self, length: int) -> Tensor:
        """Bias per head by the distance between two tokens, [H, S, S]; the first layer has it for all."""
        bias_HSS: Tensor = self.original.compute_bias(length, length)
        return bias_HSS

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        position_bias: Tensor,
        index: int = 0,  # noqa: ARG002 (as the layers call it)
    ) -> tuple[Tensor, None, Tensor]:
        own = self.original
        items, length, width = hidden_states.shape

        def by_head(x_NSD: Tensor) -> Tensor:
            return x_NSD.reshape(items, length, own.num_heads, own.head_dim).transpose(1, 2)

        # Two sums of four outputs each; summed over the weights, because ONNX Runtime sums no zero rows.
        linear = own.gru_rel_pos_linear
        weight, bias = linear.weight.reshape(2, 4, -1).sum(1), linear.bias.reshape(2, 4).sum(1)
        gates_NHS2 = F.linear(by_head(hidden_states), weight, bias).sigmoid()
        update_NHS1, reset_NHS1 = gates_NHS2[..., :1], gates_NHS2[..., 1:]
        gate_NHS1 = update_NHS1 * (reset_NHS1 * own.gru_rel_pos_const - 1) + 2
        queries_NHSd, keys_NHSd = by_head(own.q_proj(hidden_states)), by_head(own.k_proj(hidden_states))
        scores_NHSS = queries_NHSd @ keys_NHSd.transpose(2, 3) * own.head_dim**-0.5
        # Not F.scaled_dot_product_attention: where nothing learns, its strides change while it is exported.
        weights_NHSS = (scores_NHSS + gate_NHS1 * position_bias + attention_mask).softmax(dim=-1)
        mixed = F.dropout(weights_NHSS, own.dropout, self.training) @ by_head(own.v_proj(hidden_states))
        return own.out_proj(mixed.transpose(1, 2).reshape(items, length, width)), None, position_bias


def wave_spec(spec: AudioSpec, config: Any, processor: Any) -> AudioSpec:
    """`spec` with the convolutions' receptive field and stride as window and hop: one token per frame."""
    window, hop = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        window += (kernel - 1) * hop
        hop *= stride
    return dataclasses.replace(
        spec, sample_rate_hz=processor.sampling_rate, window=window, hop=hop, frames_per_token=1
    )


def _moments(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance over the valid places of the last axis, which stays with length 1."""
    count = mask.sum(-1, keepdim=True)
    mean = (x * mask).sum(-1, keepdim=True) / count
    return mean, ((x - mean).square() * mask).sum(-1, keepdim=True) / count
