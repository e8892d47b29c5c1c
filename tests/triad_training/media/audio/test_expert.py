"""The linear expert of sounds."""

from __future__ import annotations

import numpy as np
import torch

from tests.triad_training.layers.test_expert import TASKS, require_linear, require_shares, solved
from triad_serving.media.audio.spec import AudioSpec
from triad_training.layers.expert import Look
from triad_training.media.audio.expert import AudioExpert

SPEC = AudioSpec(max_s=1.0)


def look(seed: int) -> Look:
    samples = np.random.default_rng(seed).integers(-9000, 9000, (4, 6000)).astype(np.int16)
    return Look(
        [torch.from_numpy(samples), torch.tensor([6000, 2400, 900, 6000])],
        torch.empty(0),
        torch.arange(5) < torch.tensor([[5], [2], [1], [5]]),
    )


def test_an_expert_answers_as_its_linear_model() -> None:
    require_linear(AudioExpert(SPEC, TASKS), look(0), look(1))


def test_every_moment_has_the_same_part() -> None:
    expert = AudioExpert(SPEC, TASKS)
    solved(expert, look(0))
    require_shares(expert, look(1))
    with torch.inference_mode():
        assert torch.allclose(expert(look(1)).parts_NPT[1, :2], torch.tensor(0.5), atol=1e-5)
