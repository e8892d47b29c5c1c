"""Batch normalisation whose statistics are of all processes.

Shape letters: C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triad_training.layers import distributed


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the items of all processes, of any number of axes; of no item, too."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or (distributed.process_count() == 1 and len(x)):
            return super().forward(x)
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        values = x.float()
        count = distributed.total(values.new_tensor(values.numel() // values.shape[1]))
        mean_C = distributed.total(values.sum(axes)) / count.clamp(min=1)
        centred = values - mean_C.view(shape)
        squares_C = distributed.total(centred.square().sum(axes))
        self._remember(mean_C.detach(), squares_C.detach() / (count - 1).clamp(min=1), count)
        scale_C = self.weight * (squares_C / count.clamp(min=1) + self.eps).rsqrt()
        return (centred * scale_C.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean_C: Tensor, variance_C: Tensor, count: Tensor) -> None:
        """Moves the running statistics as torch's does; not at all where there was no item."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        seen = (count > 0).to(mean_C.dtype)
        self.running_mean.lerp_(mean_C, seen * self.momentum)
        self.running_var.lerp_(variance_C, seen * self.momentum)
        self.num_batches_tracked += seen.long()
