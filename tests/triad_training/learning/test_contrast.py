"""The contrast term against its formulas, and what it leaves out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_training.learning.contrast import Contrast, same_labels
from triad_training.network.embedding import Embedded

KIND = Task(name="kind", type="classification", labels=("a", "b"))
NAN = math.nan


def embedded(rows: int, media: int = 2) -> Embedded:
    torch.manual_seed(0)
    return Embedded(F.normalize(torch.randn(rows, media, 6), dim=2), torch.ones(rows, media))


def distinct(rows: int, media: int = 2) -> torch.Tensor:
    return torch.arange(rows)[:, None].repeat(1, media)


def test_softmax_is_the_symmetric_loss_of_clip() -> None:
    pair = embedded(5)
    one, other = pair.vectors_BME.unbind(1)
    logits = one @ other.T / 0.07
    expected = (F.cross_entropy(logits, torch.arange(5)) + F.cross_entropy(logits.T, torch.arange(5))) / 2
    found = Contrast("softmax", ())(pair, distinct(5), {})
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_sigmoid_is_the_loss_of_siglip() -> None:
    pair = embedded(5)
    one, other = pair.vectors_BME.unbind(1)
    signs = 2 * torch.eye(5) - 1
    expected = -F.logsigmoid(signs * (10 * one @ other.T - 10)).sum() / 5
    found = Contrast("sigmoid", ())(pair, distinct(5), {})
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_rows_with_the_same_item_or_label_are_no_opposites(kind: str) -> None:
    contrast, pair = Contrast(kind, (KIND,)), embedded(3)  # type: ignore[arg-type]
    items, unlabelled = distinct(3), torch.full((3,), NAN)
    all_opposite = contrast(pair, items, {"kind": unlabelled})
    shared = items.clone()
    shared[1, 0] = 0
    of_items = contrast(pair, shared, {"kind": unlabelled})
    of_labels = contrast(pair, items, {"kind": torch.tensor([1.0, 1.0, NAN])})
    assert of_items == of_labels < all_opposite
    alone = contrast(pair, items, {"kind": torch.ones(3)})
    expected = 0.0 if kind == "softmax" else F.softplus(10 - 10 * pair.vectors_BME.prod(1).sum(1)).mean()
    assert alone.item() == pytest.approx(float(expected), abs=1e-5)


def test_labels_are_the_same_where_every_shared_task_says_so() -> None:
    kinds = torch.tensor([0.0, 0.0, 1.0, NAN])
    tags = torch.tensor([[1.0, 0.0], [0.0, 1.0], [NAN, NAN], [1.0, 0.0]])
    same = same_labels([kinds, tags], 4)
    expected = torch.eye(4, dtype=torch.bool)
    expected[0, 3] = expected[3, 0] = True
    assert torch.equal(same, expected)
    assert not same_labels([], 3).any()


def test_rows_that_lack_a_medium_are_left_out_and_three_media_are_compared_in_six_ways() -> None:
    contrast, three = Contrast("softmax", ()), embedded(4, media=3)
    complete = contrast(three, distinct(4, 3), {})
    items = torch.cat([distinct(4, 3), torch.tensor([[4, -1, -1]])])
    lone = torch.cat([torch.ones(1, 1, 6), torch.zeros(1, 2, 6)], dim=1)
    more = Embedded(torch.cat([three.vectors_BME, lone]), torch.ones(5, 3))
    assert contrast(more, items, {}).item() == pytest.approx(complete.item(), rel=1e-6)
    first, second, third = three.vectors_BME.unbind(1)
    sides = [(first, second), (first, third), (second, third)]
    sides += [(a, F.normalize(b + c, dim=1)) for a, b, c in
              ((first, second, third), (second, first, third), (third, first, second))]  # fmt: skip
    pairs = [Contrast("softmax", ())(Embedded(torch.stack(side, dim=1), torch.ones(4, 2)), distinct(4), {})
             for side in sides]  # fmt: skip
    assert complete.item() == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-5)
    assert contrast(more, torch.full((5, 3), -1), {}) == 0
