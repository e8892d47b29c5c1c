"""A long sound a window at a time: the tokens of the whole, and a window knows nothing of the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_serving.media.audio.spec import AudioInput, AudioSpec, sound_tokens
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.words import Vocabulary
from triad_training.config.train_config import ModelConfig, TrainConfig
from triad_training.media.audio.encoder import AudioEncoder
from triad_training.media.audio.windows import Windowed
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import MAX_DRIFT, check_parity

SPEC = AudioSpec(max_s=60.0, window_s=1.0)  # 25 tokens in a window


def sound(*counts: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    samples_NT = np.zeros((len(counts), max(counts)), dtype=np.int16)
    for n, count in enumerate(counts):
        samples_NT[n, :count] = random.integers(-9000, 9000, count)
    return torch.from_numpy(samples_NT), torch.tensor(counts)


def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(SPEC, width=16, mels=16, dropout=0).eval()


@pytest.mark.parametrize("count", [200, 519, 8000, 8119, 8120, 8121, 8200, 8439, 8440, 23_999, 40_000])
def test_as_many_tokens_as_the_contract_says(count: int) -> None:
    tokens_NSD, mask_NS = Windowed(encoder(), SPEC)(*sound(count))
    assert mask_NS.sum() == sound_tokens(count, SPEC)
    assert mask_NS.shape == tokens_NSD.shape[:2]
    assert not tokens_NSD.isnan().any()


def test_each_window_is_encoded_as_a_sound_of_its_own() -> None:
    """Alone it needs the beginning of the next, over which its last frames reach: 120 samples."""
    samples_NT, counts_N = sound(20_000)
    tokens_NSD, _ = Windowed(encoder(), SPEC)(samples_NT, counts_N)
    for begin, end in ((0, 8120), (8000, 16_120), (16_000, 20_000)):
        piece = samples_NT[:, begin:end]
        alone_NSD, _ = encoder()(piece, torch.tensor([end - begin]))
        first = begin // 320
        assert torch.allclose(tokens_NSD[:, first : first + alone_NSD.shape[1]], alone_NSD, atol=1e-5)


def test_a_sound_within_one_window_is_encoded_as_without() -> None:
    samples_NT, counts_N = sound(5000, 3000)
    windowed_NSD, windowed_NS = Windowed(encoder(), SPEC)(samples_NT, counts_N)
    plain_NSD, plain_NS = encoder()(samples_NT, counts_N)
    length = plain_NS.shape[1]
    assert torch.equal(windowed_NS[:, :length], plain_NS)
    assert not windowed_NS[:, length:].any()
    assert torch.allclose(windowed_NSD[:, :length][plain_NS], plain_NSD[plain_NS], atol=1e-5)


def test_a_long_sound_is_encoded_the_same_beside_a_longer_one() -> None:
    windowed = Windowed(encoder(), SPEC)
    samples_NT, counts_N = sound(9000, 30_000)
    together_NSD, mask_NS = windowed(samples_NT, counts_N)
    alone_NSD, alone_NS = windowed(samples_NT[:1, :9000], counts_N[:1])
    assert mask_NS[0].sum() == alone_NS.sum()
    length = int(alone_NS.sum())
    assert torch.allclose(together_NSD[0, :length], alone_NSD[0, :length], atol=1e-5)


def test_a_batch_without_a_sound_trains_on() -> None:
    windowed = Windowed(encoder(), SPEC).train()
    tokens_NSD, mask_NS = windowed(torch.zeros(0, 200, dtype=torch.int16), torch.zeros(0, dtype=torch.int64))
    assert tokens_NSD.shape[0] == mask_NS.shape[0] == 0
    assert tokens_NSD.shape[:2] == mask_NS.shape


def test_the_exported_graph_answers_as_the_network_does() -> None:
    """With noise taken out and cosines on top; the check asks with and without a sound, alone and mixed."""
    spec = PreprocessSpec(text=TextSpec(), image=None, audio=SPEC)
    tasks = (Task(name="kind", type="classification", labels=("a", "b")),)
    config = TrainConfig.model_validate(
        {"name": "toy", "data": {"table": "t.csv"}, "tasks": {"kind": {}}}
        | {"model": ModelConfig(width=16, heads=2, mels=16, denoise=True, features="mfcc")}
    )
    lexicon = WordLexicon(vocabulary=Vocabulary(list("abcdefg")))
    model = TriadModel(config, spec, tasks, {"text": lexicon})
    session = Session(export_graph(model, spec, tasks), spec=spec, tasks=tasks, device="cpu")
    text = TextInput(ids_L=np.array([3, 4]), spans=((0, 1), (1, 2)), text="ab", truncated=False)
    examples = [
        ModelInputs(
            text=text,
            audio=AudioInput(
                samples_T=sound(count)[0][0].numpy(),
                format="WAV",
                seconds=count / 8000,
                sample_rate_hz=8000,
                truncated=False,
                peak=1.0,
            ),
        )
        for count in (200, 8120, 8121, 30_000)
    ]
    assert check_parity(model, session, spec, examples) < MAX_DRIFT


def test_a_window_shorter_than_a_token_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"window_s: 0\.01 s hold no token of 0\.04 s"):
        Windowed(encoder(), AudioSpec(window_s=0.01))
