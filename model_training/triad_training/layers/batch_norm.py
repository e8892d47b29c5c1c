"""Batch normalisation whose statistics are of all processes.

Shape letters: C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_training.layers import distributed


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the items of all processes, of any number of axes; of no item, too."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or (distributed.process_count() == 1 and len(x)):
            return super().forward(x)
        values = x.float()
        mean_C, variance_C, count = _statistics(values.detach())
        self._remember(mean_C, variance_C * count / (count - 1).clamp(min=1), count)
        normal: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            values, self.weight, self.bias, (mean_C, variance_C, count, self.eps)
        )
        return normal.to(x.dtype)

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


@torch.no_grad()
def _statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and number of the values of each channel, in one message."""
    flat, channels = values.flatten(2), values.shape[1]
    sum_C = flat.sum(2).sum(0)
    squares_C = torch.linalg.vector_norm(flat, dim=2).square().sum(0)  # 50 times as fast as torch.var_mean
    number = values.new_tensor([values.numel() // channels])
    totals = distributed.total(torch.cat([sum_C, squares_C, number]))
    count = totals[-1]
    mean_C = totals[:channels] / count.clamp(min=1)
    variance_C = (totals[channels:-1] / count.clamp(min=1) - mean_C.square()).clamp(min=0)
    return mean_C, variance_C, count


class _Normalise(torch.autograd.Function):
    """Torch's own kernels, with what they sum over the batch summed over all processes.

    Written out, each step of the formulas is a pass over the values: 1.6 times as slow in all. Source of the
    gradient: Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_C: Tensor,
        bias_C: Tensor,
        statistics: tuple[Tensor, Tensor, Tensor, float],
    ) -> Tensor:
        mean_C, variance_C, count, ctx.eps = statistics
        ctx.save_for_backward(x, weight_C, mean_C, variance_C, count)
        return F.batch_norm(x, mean_C, variance_C, weight_C, bias_C, eps=ctx.eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight_C, mean_C, variance_C, count = ctx.saved_tensors
        if not len(x):  # of which torch's kernel crashes; the other processes wait for our part
            nothing_C = torch.zeros_like(weight_C)
            distributed.total(torch.cat([nothing_C, nothing_C]))
            return torch.zeros_like(x), nothing_C, nothing_C, None
        own, by_weight_C, by_bias_C = torch.ops.aten.native_batch_norm_backward(
            gradient.contiguous(),
            x,
            weight_C,
            mean_C,
            variance_C,
            None,
            None,
            False,  # as if the statistics were constants; what they add follows
            ctx.eps,
            [True, True, True],
        )
        products_C, sum_C = distributed.total(torch.cat([by_weight_C, by_bias_C])).chunk(2)
        inverse_C = (variance_C + ctx.eps).rsqrt()
        slope_C = weight_C * inverse_C.square() * products_C / count.clamp(min=1)
        offset_C = weight_C * inverse_C * sum_C / count.clamp(min=1) - slope_C * mean_C
        shape = [1, -1, *[1] * (x.ndim - 2)]
        own.sub_(offset_C.view(shape)).addcmul_(x, slope_C.view(shape), value=-1)
        return own, by_weight_C, by_bias_C, None
