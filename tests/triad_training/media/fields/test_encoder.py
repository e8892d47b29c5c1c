"""Fields to tokens: against the formula, and nothing of what is missing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from triad_serving.media.fields.spec import CategoricalField, FieldsSpec, NumericField
from triad_training.media.fields.augment import augment_fields, drop_fields
from triad_training.media.fields.config import FieldsAugment
from triad_training.media.fields.encoder import BINS, FieldsEncoder, NumberEmbedding, knots_of
from triad_training.media.fields.medium import FIELDS
from triad_training.media.fields.transfer import copy_by_name

NUMERIC = tuple(NumericField(name=name, low=0, median=1, high=2) for name in ("age", "heat"))
SPEC = FieldsSpec(numeric=NUMERIC, categorical=(CategoricalField(name="ward", categories=("A", "B")),))


def encoder_of(spec: FieldsSpec = SPEC, layers: int = 1) -> FieldsEncoder:
    torch.manual_seed(0)
    return FieldsEncoder(spec, width=8, heads=2, layers=layers, dropout=0.0).eval()


def test_a_number_fills_the_bins_below_it() -> None:
    """Gorishniy et al. 2022, equation 1, with the outer bins closed."""
    embedding = NumberEmbedding(1, 4)
    knots_B = np.cumsum(np.r_[-1.0, np.random.default_rng(0).uniform(0.1, 2, BINS)]).astype(np.float32)
    embedding.set_knots(knots_B[None])
    weight_DB, bias_D = embedding.embed.weight[:, :, 0], embedding.embed.bias
    for number in (-9.0, knots_B[0], 0.7, knots_B[4], 3.3, knots_B[-1], 99.0):
        filled_B = [
            min(max((number - low) / (high - low), 0.0), 1.0) for low, high in itertools.pairwise(knots_B)
        ]
        expected_D = weight_DB @ torch.tensor(filled_B, dtype=torch.float32) + bias_D
        found_D = embedding(torch.tensor([[number]]))[0, 0]
        assert torch.allclose(found_D, expected_D, atol=1e-4)


def test_whole_numbers_whose_knots_coincide_stay_finite() -> None:
    embedding = NumberEmbedding(2, 4)
    embedding.set_knots(knots_of([np.array([0.0, 0, 0, 1, 1]), np.array([5.0])]))
    found = embedding(torch.tensor([[0.0, 5.0], [1.0, 6.0], [math.nan, 1e30]]))
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0, 0], found[1, 0])


def test_a_missing_field_is_no_token_and_changes_nothing() -> None:
    encoder = encoder_of()
    numbers, ids = torch.tensor([[1.0, math.nan]]), torch.tensor([[0]])
    tokens_NPD, mask_NP = encoder(numbers, ids)
    assert mask_NP.tolist() == [[True, False, False]]
    with torch.no_grad():
        encoder.categories.weight += 1.0  # type: ignore[union-attr]
        encoder.numbers.embed.bias[8:] += 1.0  # type: ignore[union-attr]
        encoder.names[1:] += 1.0
    changed_NPD, _ = encoder(numbers, ids)
    assert torch.allclose(tokens_NPD[:, 0], changed_NPD[:, 0])


def test_records_do_not_mix() -> None:
    encoder = encoder_of()
    numbers, ids = torch.tensor([[1.0, 0.2], [0.5, math.nan]]), torch.tensor([[2], [3]])
    together, _ = encoder(numbers, ids)
    assert torch.allclose(together[1:], encoder(numbers[1:], ids[1:])[0], atol=1e-6)
    assert encoder(numbers[:0], ids[:0])[0].shape == (0, 3, 8)


@pytest.mark.parametrize("spec", [FieldsSpec(numeric=NUMERIC), FieldsSpec(categorical=SPEC.categorical)])
def test_one_kind_alone_is_enough(spec: FieldsSpec) -> None:
    samples = FIELDS.sample_inputs(spec, 3)
    tokens_NPD, mask_NP = encoder_of(spec)(*samples.values())
    assert tokens_NPD.shape == (3, len(spec.names), 8)
    assert mask_NP.all()


def test_degenerate_records_have_finite_tokens_and_one_at_least() -> None:
    encoder = encoder_of()
    for item in FIELDS.degenerate(SPEC):
        tokens, mask = encoder(
            torch.from_numpy(item.numbers_F)[None], torch.from_numpy(item.categories_G)[None]
        )
        assert torch.isfinite(tokens).all()
        assert mask.any()


def test_a_larger_share_drops_the_same_fields_and_more() -> None:
    item = FIELDS.serving.blank(SPEC, None)
    kept = [
        drop_fields(item, share, np.random.default_rng(3)).there.tolist() for share in (0.0, 0.3, 0.6, 1.0)
    ]
    assert kept[0] == [True] * 3
    assert sum(kept[-1]) == 1
    for more, fewer in itertools.pairwise(kept):
        assert all(m or not f for m, f in zip(more, fewer, strict=True))


def test_augmentation_draws_unknown_categories_of_those_that_are_there() -> None:
    item = FIELDS.serving.read({"age": 1.0, "ward": "A"}, SPEC, None, None)  # type: ignore[arg-type]
    unknown, rng = FieldsAugment(unknown=1.0), np.random.default_rng(0)
    found = augment_fields(item, unknown, rng)
    assert found.categories_G.tolist() == [1]
    assert found.numbers_F[0] == 1.0
    missing = FIELDS.serving.read({"age": 1.0}, SPEC, None, None)  # type: ignore[arg-type]
    assert augment_fields(
        missing, FieldsAugment(unknown=1.0), np.random.default_rng(0)
    ).categories_G.tolist() == [0]


def test_weights_go_to_the_field_of_the_same_name() -> None:
    new = FieldsSpec(
        numeric=(NUMERIC[1], NumericField(name="weight", low=0, median=1, high=2)),
        categorical=(CategoricalField(name="ward", categories=("B", "C")),),
    )
    source, target = encoder_of(SPEC).state_dict(), encoder_of(new).state_dict()
    before = {name: tensor.clone() for name, tensor in target.items()}
    counts = {name: copy_by_name(name, source[name], target[name], new, SPEC) for name in target}
    assert torch.equal(target["numbers.embed.bias"][:8], source["numbers.embed.bias"][8:])
    assert torch.equal(target["numbers.embed.bias"][8:], before["numbers.embed.bias"][8:])
    assert torch.equal(target["categories.weight"][2], source["categories.weight"][3])  # B
    assert torch.equal(target["categories.weight"][3], before["categories.weight"][3])  # C
    assert torch.equal(target["names"][2], source["names"][2])
    assert (counts["names"], counts["numbers.knots"], counts["norm.weight"]) == (16, BINS + 1, None)
