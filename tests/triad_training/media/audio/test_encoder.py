"""The encoder of sounds: as many tokens as the contract says, the same whatever padding follows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.media.audio.spec import AudioSpec, sound_tokens
from triad_training.media.audio.encoder import AudioEncoder

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


def test_a_batch_without_a_sound_trains_on() -> None:
    audio = AudioEncoder(SPEC, width=16, mels=16, dropout=0)
    tokens, mask = audio(torch.zeros(0, 200, dtype=torch.int16), torch.zeros(0, dtype=torch.int64))
    assert tokens.shape[::2] == (0, 16)
    assert mask.shape == tokens.shape[:2]
