"""Batch statistics over processes. Reference: torch's batch normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from triad_training.layers import distributed
from triad_training.layers.batch_norm import BatchNorm


@pytest.mark.parametrize("shape", [(6, 3, 5, 4), (6, 3, 7)], ids=["images", "sounds"])
def test_batch_statistics_over_processes_are_those_of_torch(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """Two processes with the same items have the statistics of one with them."""
    torch.manual_seed(0)
    reference = nn.BatchNorm2d(3) if len(shape) == 4 else nn.BatchNorm1d(3)
    found = BatchNorm(3)
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    monkeypatch.setattr(distributed, "total", lambda part: 2 * part)
    x = 3 + 2 * torch.randn(shape)
    both = torch.cat([x, x])
    assert torch.allclose(found(x), reference(both)[:6], atol=1e-5)
    for name, expected in reference.state_dict().items():
        assert torch.allclose(found.state_dict()[name], expected, atol=1e-5), name
    assert torch.allclose(found.eval()(x), reference.eval()(x), atol=1e-5)


def test_batch_statistics_of_no_item_change_nothing() -> None:
    norm = BatchNorm(3)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    nothing = torch.zeros(0, 3, 4, 4, requires_grad=True)
    norm(nothing).sum().backward()
    assert nothing.grad is not None
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())
