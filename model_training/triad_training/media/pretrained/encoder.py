"""What every pretrained encoder can be asked for."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class PretrainedEncoder(Protocol):
    """An encoder in two steps, of which only the second begins from nothing."""

    @property
    def hidden_width(self) -> int: ...

    def hidden(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The pretrained network's own tokens [N, P, H], and which are valid."""
        ...

    def project(self, hidden_NPH: Tensor) -> Tensor:
        """With the width of all other tokens."""
        ...
