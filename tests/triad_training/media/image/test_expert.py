"""The linear expert of images: its features have places."""

from __future__ import annotations

import numpy as np
import torch

from tests.triad_training.layers.test_expert import TASKS, require_linear, require_shares, solved
from triad_serving.media.image.spec import ImageSpec
from triad_training.layers.expert import Look
from triad_training.media.image.expert import ImageExpert

SPEC = ImageSpec(height=24, width=32, rows=3, columns=4)


def look(seed: int, count: int = 6) -> Look:
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 24, 32, 3), dtype=np.uint8)
    return Look([torch.from_numpy(pixels)], torch.empty(0), torch.ones(count, 12, dtype=torch.bool))


def test_an_expert_answers_as_its_linear_model() -> None:
    require_linear(ImageExpert(SPEC, TASKS), look(0), look(1))


def test_parts_are_shares_of_the_cells() -> None:
    expert = ImageExpert(SPEC, TASKS)
    require_shares(expert, look(1))
    solved(expert, look(0))
    require_shares(expert, look(1))


@torch.inference_mode()
def test_a_feature_counts_where_it_is() -> None:
    """The last pixel of the grey thumbnail lies in the last cell."""
    expert = ImageExpert(SPEC, TASKS)
    expert.learn_scale(expert.read(look(0)))
    weight_FK = np.zeros((len(expert.weight), 1))
    weight_FK[255] = 1.0
    expert.put("size", weight_FK, np.zeros(1))
    parts_NP = expert(look(1)).parts_NPT[:, :, 2]
    assert (parts_NP.argmax(1) == 11).all()
    assert (parts_NP[:, 11] > 0.98).all()
