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


def test_gradients_over_processes_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    reference, found = nn.BatchNorm2d(3), BatchNorm(3)
    for norm in (reference, found):
        nn.init.constant_(norm.weight, 0.7)
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    monkeypatch.setattr(distributed, "total", lambda part: 2 * part)
    x, other = (3 + 2 * torch.randn(6, 3, 5, 4)).requires_grad_(), torch.randn(6, 3, 5, 4)
    both = x.detach().repeat(2, 1, 1, 1).requires_grad_()
    (reference(both) * other.repeat(2, 1, 1, 1)).sum().backward()
    (found(x) * other).sum().backward()
    assert both.grad is not None
    assert torch.allclose(x.grad, both.grad[:6], atol=1e-5)
    for own, of_both in zip(found.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(own.grad, of_both.grad / 2, atol=1e-4)  # each process has its part


def test_a_process_without_an_item_gives_its_part_of_every_message(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = []
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    monkeypatch.setattr(distributed, "total", lambda part: messages.append(part.numel()) or part)
    norm = BatchNorm(3)
    norm(torch.zeros(0, 3, 4, 4, requires_grad=True)).sum().backward()
    nothing, messages = messages, []
    norm(torch.randn(2, 3, 4, 4, requires_grad=True)).sum().backward()
    assert nothing == messages == [7, 6]


def test_batch_statistics_of_no_item_change_nothing() -> None:
    norm = BatchNorm(3)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    nothing = torch.zeros(0, 3, 4, 4, requires_grad=True)
    norm(nothing).sum().backward()
    assert nothing.grad is not None
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())
