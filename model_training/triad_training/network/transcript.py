"""A transcript from the tokens of a sound: which symbol is heard at each moment, if any.

Trained by connectionist temporal classification: A. Graves, S. Fernández, F. Gomez, J. Schmidhuber,
Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural networks,
ICML 2006. At each moment either a symbol or a blank is heard; a symbol that is heard on and on counts once.

Shape letters: B rows, S tokens of their sounds, P tokens of all media side by side, D width, K symbols.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.tasks import BLANK, Task
from triad_training.layers.prunable import Group, hidden_units

QUIET = 1e-4  # added to the probability that something is heard at a moment: silence is heard evenly


class Moments(NamedTuple):
    """logits_BSK: 1 + K of each moment, the blank first. weights_BS: see TranscriptHead."""

    logits_BSK: Tensor
    weights_BS: Tensor


class TranscriptHead(nn.Module):
    """What each moment of a sound says.

    A token knows a few tenths of a second of its sound, a word is longer: so convolutions over the tokens
    follow, each twice as far apart as the one before, of a reach of 2 ** context tokens on either side. Each
    moment is read from its own encoder's token and from its fused one, by which other media can help.

    weights_BS: by how probable it is that anything is heard at a moment; they sum to 1 over a sound, and are
    0 where there is none.
    """

    def __init__(self, width: int, task: Task, dropout: float, *, context: int) -> None:
        """context: number of convolutions."""
        super().__init__()
        self.join = nn.Linear(2 * width, width)
        self.context = nn.ModuleList(Context(width, 2**layer, dropout) for layer in range(context))
        self.norm = nn.LayerNorm(width)
        self.symbols = nn.Linear(width, task.outputs)

    def forward(self, fused_BSD: Tensor, own_BSD: Tensor, mask_BS: Tensor) -> Moments:
        mask_BS1 = mask_BS[:, :, None]
        x_BSD = self.join(torch.cat([fused_BSD, own_BSD], dim=2))
        for layer in self.context:
            x_BSD = layer(x_BSD, mask_BS1)
        logits_BSK = self.symbols(self.norm(x_BSD))
        blank_BS = logits_BSK.softmax(2)[:, :, BLANK]
        heard_BS = (1 - blank_BS + QUIET) * mask_BS
        return Moments(logits_BSK, heard_BS / heard_BS.sum(1, keepdim=True).clamp(min=QUIET))

    @torch.no_grad()
    def expect(self, shares_K: Tensor) -> None:
        """Begins with the shares of the blank and of each symbol among all moments."""
        self.symbols.bias.copy_(shares_K.log())


class Context(nn.Module):
    """Each token learns of those `distance` before and behind it.

    A convolution, written as one matrix on three tokens side by side: ONNX Runtime refuses a convolution over
    no token at all, which is what rows without sound have.
    """

    def __init__(self, width: int, distance: int, dropout: float) -> None:
        super().__init__()
        self.distance = distance
        self.norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(3 * width, width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, x_BSD: Tensor, mask_BS1: Tensor) -> Tensor:
        near_BSD = self.norm(x_BSD) * mask_BS1  # padding is zeros, however long
        padded_BSD = F.pad(near_BSD, (0, 0, self.distance, self.distance))
        before_BSD, behind_BSD = padded_BSD[:, : -2 * self.distance], padded_BSD[:, 2 * self.distance :]
        added_BSD: Tensor = self.feed_forward(torch.cat([before_BSD, near_BSD, behind_BSD], dim=2))
        return x_BSD + added_BSD

    def prunable(self, name: str) -> Iterator[Group]:
        """The hidden units of its feed-forward part."""
        yield Group(parts=hidden_units(f"{name}.feed_forward", 0, 3))
