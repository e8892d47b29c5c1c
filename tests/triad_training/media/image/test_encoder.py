"""The encoder of images: a grid of tokens that exposure does not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.contract.errors import ConfigError
from triad_serving.media.image.spec import ImageSpec
from triad_training.media.image.encoder import ImageEncoder


def test_exposure_and_contrast_do_not_change_an_image() -> None:
    encoder = ImageEncoder(ImageSpec(), width=32).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 100, (1, 56, 56, 3), dtype=np.uint8))
    tokens, mask = encoder(pixels)
    assert tokens.shape == (1, 49, 32)
    assert mask.all()
    assert torch.allclose(encoder(pixels * 2 + 40)[0], tokens, atol=0.01)


def test_a_batch_without_an_image_trains_on() -> None:
    image = ImageEncoder(ImageSpec(), width=32)
    before = {name: value.clone() for name, value in image.state_dict().items()}
    tokens, mask = image(torch.zeros(0, 56, 56, 3, dtype=torch.uint8))
    assert tokens.shape == (0, 49, 32)
    assert mask.shape == (0, 49)
    assert all(torch.equal(before[name], value) for name, value in image.state_dict().items())


@pytest.mark.parametrize("spec", [ImageSpec(height=50), ImageSpec(rows=14), ImageSpec(height=42, width=42)])
def test_a_grid_that_does_not_halve_is_refused(spec: ImageSpec) -> None:
    with pytest.raises(ConfigError, match="image: height"):
        ImageEncoder(spec, width=32)
