"""Long recordings, heard a window at a time: the encoder's cost and memory grow with length, not its square.

Shape letters: N sounds, T samples, W windows of a sound, S sound tokens, D width (H before a projection).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.front_end import first
from triad_training.media.pretrained.backbone import PretrainedEncoder, as_pretrained


class Windowed(nn.Module):
    """Gives an encoder each window as a sound of its own, and returns the tokens of the whole recording.

    Windows begin spec.window_s apart and reach one analysis window less a hop into the next, so that together
    they have exactly the frames, and so the tokens, of the whole.
    """

    def __init__(self, encoder: nn.Module, spec: AudioSpec) -> None:
        super().__init__()
        token = spec.hop * spec.frames_per_token
        self.encoder = encoder
        self.window, self.hop, self.token = spec.window, spec.hop, token
        self.overlap = max(spec.window - spec.hop, 0)
        self.step = round(spec.window_s * spec.sample_rate_hz / token) * token
        if self.step < max(token, self.overlap):
            raise ConfigError(
                f"preprocess.audio.window_s: {spec.window_s:g} s hold no token of {spec.token_s:g} s."
            )

    def forward(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """int16 samples and how many are valid; returns tokens_NSD and mask_NS."""
        return self._joined(self.encoder, samples_NT, sample_counts_N)

    def _joined(
        self,
        encode: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        samples_NT: Tensor,
        sample_counts_N: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """What `encode` makes of each window, one behind the other, and which of it is valid."""
        sounds, length = samples_NT.shape
        windows = (length - self.overlap + self.step - 1) // self.step
        silence = samples_NT.new_zeros(sounds, (windows + 1) * self.step - length)
        padded_NT = torch.cat([samples_NT, silence], dim=1)  # ONNX Runtime pads no int16
        own = padded_NT[:, : windows * self.step].reshape(sounds * windows, self.step)
        following = padded_NT[:, self.step :].reshape(sounds * windows, self.step)
        heard = torch.cat([own, following[:, : self.overlap]], dim=1)
        begins_W = torch.arange(windows, device=samples_NT.device) * self.step
        counts_NW = (sample_counts_N[:, None] - begins_W).clamp(self.window, self.step + self.overlap)
        tokens, _ = encode(heard, counts_NW.reshape(sounds * windows))
        kept = tokens[:, : self.step // self.token]
        tokens_NSD = kept.reshape(sounds, windows * (self.step // self.token), kept.shape[2])
        starts_N = sample_counts_N - self.window + 1
        return tokens_NSD, first(starts_N, tokens_NSD.shape[1], step=self.token)


class WindowedPretrained(Windowed):
    """The same around a pretrained encoder, with its two steps."""

    def __init__(self, encoder: nn.Module, spec: AudioSpec) -> None:
        super().__init__(encoder, spec)
        self.hidden_size = self._pretrained().hidden_size

    def hidden(self, samples_NT: Tensor, sample_counts_N: Tensor) -> tuple[Tensor, Tensor]:
        """As forward; returns hidden_NSH and mask_NS."""
        return self._joined(self._pretrained().hidden, samples_NT, sample_counts_N)

    def project(self, hidden_NSH: Tensor) -> Tensor:
        return self._pretrained().project(hidden_NSH)

    def _pretrained(self) -> PretrainedEncoder:
        encoder = as_pretrained(self.encoder)
        assert encoder is not None
        return encoder


def windowed(encoder: nn.Module, spec: AudioSpec) -> Windowed:
    return (Windowed if as_pretrained(encoder) is None else WindowedPretrained)(encoder, spec)
