"""The linear expert of records: numbers within what training saw, categories one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.triad_training.layers.test_expert import TASKS, require_linear, require_shares, solved
from triad_serving.media.fields.spec import CategoricalField, FieldsSpec, NumericField
from triad_training.layers.expert import Look
from triad_training.media.fields.expert import FieldsExpert

SPEC = FieldsSpec(
    numeric=(NumericField(name="age", low=0.0, median=30.0, high=90.0),),
    categorical=(CategoricalField(name="sex", categories=("f", "m")),),
)


def look(seed: int) -> Look:
    rng = np.random.default_rng(seed)
    numbers_NF = rng.normal(40, 40, (7, 1)).astype(np.float32)
    numbers_NF[2] = np.nan
    inputs = [torch.from_numpy(numbers_NF), torch.from_numpy(rng.integers(0, 4, (7, 1)))]
    return Look(inputs, torch.empty(0), torch.ones(7, 2, dtype=torch.bool))


def test_a_record_is_read_as_numbers_and_one_feature_for_each_category() -> None:
    """A missing number is the median, and says that it is missing."""
    inputs = [torch.tensor([[200.0], [float("nan")]]), torch.tensor([[2], [0]])]
    features = FieldsExpert(SPEC, TASKS).read(Look(inputs, torch.empty(0), torch.ones(2, 2)))
    assert np.asarray(features).tolist() == [[1, 0, 0, 0, 1, 0], [pytest.approx(1 / 3), 1, 1, 0, 0, 0]]


def test_an_expert_answers_as_its_linear_model() -> None:
    require_linear(FieldsExpert(SPEC, TASKS), look(0), look(1))


@torch.inference_mode()
def test_a_part_is_what_the_features_of_a_field_add() -> None:
    expert = FieldsExpert(SPEC, TASKS)
    solved(expert, look(0))
    require_shares(expert, look(1))
    answer = expert(look(1))
    centred_F = np.asarray(expert.read(look(1)))[0] - expert.centre.numpy()
    said_F = np.abs(centred_F * expert.weight.numpy()[:, expert.columns["size"]][:, 0])
    expected = np.array([said_F[:2].sum(), said_F[2:].sum()]) / said_F.sum()
    assert answer.parts_NPT[0, :, 2].numpy() == pytest.approx(expected, abs=1e-5)
