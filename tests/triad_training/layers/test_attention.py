"""Attention that leaves out what is masked."""

from __future__ import annotations

import pytest
import torch

from triad_training.layers.attention import masked_softmax


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_masked_places_get_exactly_nothing_and_a_row_without_others_stays_finite(dtype: torch.dtype) -> None:
    scores = torch.tensor([[1.0, 50.0, 1.0], [-900.0, 50.0, 1.0]], dtype=dtype)
    weights = masked_softmax(scores, torch.tensor([[True, False, True], [False, False, False]]))
    assert weights[0].tolist() == [0.5, 0.0, 0.5]
    assert weights.isfinite().all()
