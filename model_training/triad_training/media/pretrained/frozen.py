"""Tokens of frozen encoders: computed once for each distinct item, and kept in memory while a network learns.

Shape letters: N items, P tokens, H width of the pretrained model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triad_training.media.pretrained.backbone import Backbone, as_pretrained

MOST_BYTES = 2**30  # of one medium; items beyond are computed each time


class _Kept(NamedTuple):
    """Of one item, up to its last valid token."""

    hidden_PH: Tensor
    mask_P: Tensor


class FrozenTokens:
    """What one frozen encoder made of the items that it has seen, in half precision where that holds them.

    Items are told by the bytes of their inputs, less the zeros that only pad them. So it serves wherever
    the same items come again: epochs, validation, linear experts.
    """

    def __init__(self, encoder: nn.Module) -> None:
        pretrained = as_pretrained(encoder)
        assert pretrained is not None
        self.encoder = pretrained
        self.bytes = 0
        self._kept: dict[bytes, _Kept] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> FrozenTokens:
        """Averaged copies of a network have the same frozen weights."""
        return self

    def __len__(self) -> int:
        return len(self._kept)

    def hidden(self, arrays: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """hidden_NPH and mask_NP, as the encoder's own `hidden`, of as many tokens as the longest has."""
        if not len(arrays[0]):
            return self.encoder.hidden(*arrays)
        keys = _digests(arrays)
        found = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: n for n, key in enumerate(keys) if key not in found}
        if new:
            places = torch.tensor(list(new.values()), device=arrays[0].device)
            fresh = self._encode([array.index_select(0, places) for array in arrays])
            for key, item in zip(new, fresh, strict=True):
                found[key] = item
                self._keep(key, item)
        items = [found[key] for key in keys]
        device = arrays[0].device
        hidden_NPH = nn.utils.rnn.pad_sequence([item.hidden_PH for item in items], batch_first=True)
        mask_NP = nn.utils.rnn.pad_sequence([item.mask_P for item in items], batch_first=True)
        return hidden_NPH.to(device).float(), mask_NP.to(device)

    @torch.no_grad()
    def _encode(self, arrays: Sequence[Tensor]) -> list[_Kept]:
        hidden_NPH, mask_NP = self.encoder.hidden(*arrays)
        found = []
        for hidden_PH, mask_P in zip(hidden_NPH.cpu(), mask_NP.cpu(), strict=True):
            length = max(int(mask_P.nonzero().max()) + 1 if mask_P.any() else 0, 1)
            half_PH = hidden_PH[:length].half()
            kept_PH = half_PH if half_PH.isfinite().all() else hidden_PH[:length].float()
            # Copies: a slice would keep its whole batch, and inference mode's tensors do not serve training.
            with torch.inference_mode(mode=False):
                found.append(_Kept(_copy(kept_PH), _copy(mask_P[:length])))
        return found

    def _keep(self, key: bytes, item: _Kept) -> None:
        size = item.hidden_PH.nbytes + item.mask_P.nbytes
        if self.bytes + size <= MOST_BYTES:
            self.bytes += size
            self._kept[key] = item


def is_frozen(encoder: nn.Module) -> bool:
    """Whether it is a pretrained one of which nothing learns but the projection."""
    backbone = getattr(encoder, "backbone", None)
    return as_pretrained(encoder) is not None and isinstance(backbone, Backbone) and not backbone.rates


def _copy(part: Tensor) -> Tensor:
    return torch.from_numpy(part.numpy().copy())


def _digests(arrays: Sequence[Tensor]) -> list[bytes]:
    """Of each item."""
    columns = [array.cpu().numpy() for array in arrays]
    digests = []
    for n in range(len(columns[0])):
        digest = hashlib.blake2b(digest_size=16)
        for column in columns:
            data = column[n].tobytes().rstrip(b"\0")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        digests.append(digest.digest())
    return digests
