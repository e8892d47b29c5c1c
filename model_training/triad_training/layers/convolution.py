"""Blocks of convolution, batch norm and rectifier."""

from __future__ import annotations

from torch import nn

from triad_serving.contract.errors import ConfigError
from triad_training.layers.batch_norm import BatchNorm


def conv2d(before: int, after: int, *, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, BatchNorm(after), nn.ReLU())


def conv1d(before: int, after: int, *, dilation: int) -> nn.Sequential:
    conv = nn.Conv1d(before, after, 3, dilation=dilation, padding=dilation, bias=False)
    return nn.Sequential(conv, BatchNorm(after), nn.ReLU())


def exact_log2(value: int, what: str) -> int:
    """How often it halves. Raises ConfigError, which names `what`."""
    if value < 1 or value & (value - 1):
        raise ConfigError(f"{what} must be a power of two, not {value}.")
    return value.bit_length() - 1
