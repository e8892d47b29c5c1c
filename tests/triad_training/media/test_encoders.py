"""The front end against torch.stft and a mel scale computed apart; padding against none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec, sound_tokens
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.text.spec import TextSpec
from triad_training.media.encoders import AudioEncoder, ImageEncoder, TextEncoder, masked_softmax

SPEC = AudioSpec()


def random_sound(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-9000, 9000, (1, count)).astype(np.int16))


@pytest.mark.parametrize("count", [200, 279, 280, 519, 520, 521, 4000, 7777])
def test_as_many_sound_tokens_as_the_contract_says(count: int) -> None:
    encoder = AudioEncoder(SPEC, width=16, mels=16, dropout=0).eval()
    tokens_NSD, mask_NS = encoder(random_sound(count), torch.tensor([count]))
    assert tokens_NSD.shape[1] == mask_NS.sum() == sound_tokens(count, SPEC)


def test_a_sound_is_encoded_the_same_however_much_padding_follows() -> None:
    encoder = AudioEncoder(SPEC, width=16, mels=16, dropout=0).eval()
    alone, _ = encoder(random_sound(3000), torch.tensor([3000]))
    padded = torch.zeros(2, 9000, dtype=torch.int16)
    padded[0, :3000] = random_sound(3000)
    padded[1] = random_sound(9000, seed=1)
    together, mask_NS = encoder(padded, torch.tensor([3000, 9000]))
    assert mask_NS[0].sum() == alone.shape[1]
    assert torch.allclose(together[0, : alone.shape[1]], alone[0], atol=1e-5)


def test_a_text_is_encoded_the_same_however_much_padding_follows() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TextSpec(), 50, width=16, heads=2, layers=2, dropout=0).eval()
    alone, _ = encoder(torch.tensor([[5, 6, 7]]))
    together, mask_NL = encoder(torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12]]))
    assert mask_NL.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert torch.allclose(together[0, :3], alone[0], atol=1e-6)


def test_a_word_is_another_in_another_part_of_speech() -> None:
    encoder = TextEncoder(TextSpec(pos=True), 50, width=16, heads=2, layers=1, dropout=0).eval()
    ids = torch.tensor([[5, 6]])
    noun, verb = encoder(ids, torch.tensor([[30, 30]]))[0], encoder(ids, torch.tensor([[55, 30]]))[0]
    assert not torch.allclose(noun[0, 0], verb[0, 0], atol=1e-3)


def test_exposure_and_contrast_do_not_change_an_image() -> None:
    encoder = ImageEncoder(ImageSpec(), width=32).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 100, (1, 56, 56, 3), dtype=np.uint8))
    tokens, mask = encoder(pixels)
    assert tokens.shape == (1, 49, 32)
    assert mask.all()
    assert torch.allclose(encoder(pixels * 2 + 40)[0], tokens, atol=0.01)


def test_a_batch_without_a_medium_trains_on() -> None:
    image, audio = ImageEncoder(ImageSpec(), width=32), AudioEncoder(SPEC, width=16, mels=16, dropout=0)
    before = {name: value.clone() for name, value in image.state_dict().items()}
    tokens, mask = image(torch.zeros(0, 56, 56, 3, dtype=torch.uint8))
    assert tokens.shape == (0, 49, 32)
    assert mask.shape == (0, 49)
    tokens, mask = audio(torch.zeros(0, 200, dtype=torch.int16), torch.zeros(0, dtype=torch.int64))
    assert tokens.shape[::2] == (0, 16)
    assert mask.shape == tokens.shape[:2]
    assert all(torch.equal(before[name], value) for name, value in image.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_masked_places_get_exactly_nothing_and_a_row_without_others_stays_finite(dtype: torch.dtype) -> None:
    scores = torch.tensor([[1.0, 50.0, 1.0], [-900.0, 50.0, 1.0]], dtype=dtype)
    weights = masked_softmax(scores, torch.tensor([[True, False, True], [False, False, False]]))
    assert weights[0].tolist() == [0.5, 0.0, 0.5]
    assert weights.isfinite().all()


@pytest.mark.parametrize("spec", [ImageSpec(height=50), ImageSpec(rows=14), ImageSpec(height=42, width=42)])
def test_a_grid_that_does_not_halve_is_refused(spec: ImageSpec) -> None:
    with pytest.raises(ConfigError, match="image: height"):
        ImageEncoder(spec, width=32)
