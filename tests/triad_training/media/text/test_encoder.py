"""The encoder of texts: the same whatever padding follows, another for another part of speech."""

from __future__ import annotations

import torch

from triad_serving.media.text.spec import TextSpec
from triad_training.media.text.encoder import TextEncoder


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
