"""Tokens of frozen encoders, computed once."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from triad_training.media.pretrained import frozen
from triad_training.media.pretrained.backbone import Backbone, Projection
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.frozen import FrozenTokens, is_frozen


class CountingEncoder(nn.Module):
    """A token is twice its id, id 0 pads."""

    def __init__(self, tune: str = "frozen") -> None:
        super().__init__()
        layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
        layers_of = nn.Module()
        layers_of.layers = layers
        self.backbone = Backbone(layers_of, PretrainedConfig.model_validate({"source": "x", "tune": tune}))
        self.project = Projection(1, 4)
        self.hidden_size = 1
        self.encoded = 0

    def hidden(self, ids_NL: Tensor) -> tuple[Tensor, Tensor]:
        self.encoded += len(ids_NL)
        return 2.0 * ids_NL[:, :, None], ids_NL != 0


def test_each_distinct_item_is_encoded_once_however_it_is_padded() -> None:
    encoder = CountingEncoder()
    kept = FrozenTokens(encoder)
    first, mask = kept.hidden([torch.tensor([[5, 3, 0, 0], [7, 0, 0, 0], [5, 3, 0, 0]])])
    assert encoder.encoded == 2
    assert first[:, :, 0].tolist() == [[10, 6], [14, 0], [10, 6]]
    assert mask.tolist() == [[True, True], [True, False], [True, True]]
    again, _ = kept.hidden([torch.tensor([[7, 0], [9, 1]])])
    assert encoder.encoded == 3
    assert again[:, :, 0].tolist() == [[14, 0], [18, 2]]


def test_a_number_too_large_for_half_precision_stays_as_it_is() -> None:
    kept = FrozenTokens(CountingEncoder())
    hidden, _ = kept.hidden([torch.tensor([[50_000, 1]])])
    assert hidden.tolist() == [[[100_000.0], [2.0]]]


def test_beyond_its_limit_items_are_encoded_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "MOST_BYTES", 5)
    encoder = CountingEncoder()
    kept = FrozenTokens(encoder)
    for _ in range(2):
        kept.hidden([torch.tensor([[1], [2], [3]])])
    assert len(kept) == 1  # of 3 bytes: 2 of a number and 1 of the mask
    assert encoder.encoded == 5


def test_what_was_kept_without_gradients_serves_training() -> None:
    encoder = CountingEncoder()
    kept = FrozenTokens(encoder)
    with torch.inference_mode():
        kept.hidden([torch.tensor([[1, 2]])])
    encoder.project(kept.hidden([torch.tensor([[1, 2]])])[0]).sum().backward()
    assert encoder.project.linear.weight.grad is not None


def test_copies_share_what_is_kept() -> None:
    kept = FrozenTokens(CountingEncoder())
    assert copy.deepcopy({"audio": kept})["audio"] is kept


def test_an_encoder_that_learns_is_not_frozen() -> None:
    assert is_frozen(CountingEncoder())
    assert not is_frozen(CountingEncoder("all"))
    assert not is_frozen(nn.Linear(1, 1))
