"""Every family, loaded as a user would: its own model's tokens, whatever the batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor, nn

from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.spec import sound_tokens
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.spec import TextInput
from triad_training.config.train_config import TrainConfig
from triad_training.media.audio.windows import windowed
from triad_training.media.encoders import build_encoders, with_fitted_spec
from triad_training.media.pretrained.backbone import as_pretrained
from triad_training.media.pretrained.source import load_model
from triad_training.media.text.pretrained import load_lexicon

SourceOf = Callable[[str], Path]
TEXTS = ("shining 明亮", "sun", "a dark night, shining day")
SECONDS = (0.06, 0.31, 0.173)
TEXT_FAMILIES = ("bert", "roberta", "xlm-roberta", "distilbert")
IMAGE_FAMILIES = ("vit", "dinov2", "dinov2-registers", "siglip", "convnext")
WAVE_FAMILIES = ("wav2vec2", "wav2vec2-large", "hubert", "wavlm")
AUDIO_FAMILIES = (*WAVE_FAMILIES, "whisper")
MEDIUM_OF: dict[str, MediumName] = {
    **dict.fromkeys(TEXT_FAMILIES, "text"),
    **dict.fromkeys(IMAGE_FAMILIES, "image"),
    **dict.fromkeys(AUDIO_FAMILIES, "audio"),
}


class Loaded:
    """An encoder of one family, in evaluation mode, with everything that feeds it."""

    def __init__(self, family: str, source: Path) -> None:
        self.medium = MEDIUM_OF[family]
        columns = {medium: medium if medium == self.medium else "" for medium in ("text", "image", "audio")}
        config = with_fitted_spec(
            TrainConfig.model_validate(
                {
                    "name": "one",
                    "data": {"table": "none.csv", **columns},
                    "tasks": {"kind": {}},
                    "preprocess": {"audio": {"max_s": 1.5}},
                    "model": {"width": 8, "heads": 2, f"{self.medium}_encoder": {"source": str(source)}},
                }
            )
        )
        self.config = getattr(config.model, f"{self.medium}_encoder")
        self.spec: PreprocessSpec = config.spec
        torch.manual_seed(0)
        self.encoder: Any = build_encoders(config, config.spec, {})[self.medium].eval()
        self.processor: Any = None
        if self.medium == "image":
            self.processor = transformers.AutoImageProcessor.from_pretrained(source)
        if self.medium == "audio":
            self.processor = transformers.AutoFeatureExtractor.from_pretrained(source)
        if self.medium == "text":
            self.processor = transformers.AutoTokenizer.from_pretrained(source)
            self.lexicon = load_lexicon(self.config)

    def items(self) -> list[tuple[Tensor, ...]]:
        """Three items, each as a batch of its own."""
        rng = np.random.default_rng(0)
        if self.medium == "text":
            return [(torch.from_numpy(self.read(text).ids_L)[None],) for text in TEXTS]
        if self.medium == "image":
            assert self.spec.image
            shape = (1, self.spec.image.height, self.spec.image.width, 3)
            return [(torch.from_numpy(rng.integers(0, 255, shape, dtype=np.uint8)),) for _ in range(3)]
        counts = [round(16000 * seconds) for seconds in SECONDS]
        sounds = [rng.integers(-9000, 9000, (1, count)).astype(np.int16) for count in counts]
        return [(torch.from_numpy(sound), torch.tensor([sound.shape[1]])) for sound in sounds]

    def read(self, text: str) -> TextInput:
        assert self.spec.text
        words = self.lexicon.words(text, self.spec.text, MediaLimits())
        return self.lexicon.encode(words, self.spec.text, text=text)


@pytest.fixture
def loaded(source_of: SourceOf, request: pytest.FixtureRequest) -> Loaded:
    return Loaded(request.param, source_of(request.param))


def batch_of(items: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Padded to the longest, as triad_serving.inference.session packs them."""
    first = [item[0][0] for item in items]
    packed = nn.utils.rnn.pad_sequence(first, batch_first=True)
    return (packed, *(torch.cat(rest) for rest in zip(*(item[1:] for item in items), strict=True)))


@pytest.mark.parametrize("loaded", MEDIUM_OF, indirect=True)
@torch.inference_mode()
def test_an_item_is_encoded_the_same_alone_and_among_longer_ones(loaded: Loaded) -> None:
    items = loaded.items()
    tokens, mask = loaded.encoder(*batch_of(items))
    for n, item in enumerate(items):
        alone, alone_mask = loaded.encoder(*item)
        count = int(alone_mask.sum())
        assert int(mask[n].sum()) == count
        assert mask[n, :count].all()
        assert torch.allclose(tokens[n, :count], alone[0, :count], atol=2e-5)


@pytest.mark.parametrize("loaded", MEDIUM_OF, indirect=True)
@torch.inference_mode()
def test_tokens_are_the_projection_of_hidden_ones_of_no_item_too(loaded: Loaded) -> None:
    encoder = as_pretrained(loaded.encoder)
    assert encoder
    batch = batch_of(loaded.items())
    for some in (batch, tuple(each[:0] for each in batch)):
        tokens_NLD, mask_NL = loaded.encoder(*some)
        hidden_NLH, hidden_mask_NL = encoder.hidden(*some)
        assert hidden_NLH.shape == (len(some[0]), mask_NL.shape[1], encoder.hidden_size)
        assert mask_NL.dtype == torch.bool
        assert hidden_mask_NL.equal(mask_NL)
        assert encoder.project(hidden_NLH).equal(tokens_NLD)
        assert tokens_NLD.shape == (*mask_NL.shape, 8)


@pytest.mark.parametrize("loaded", ["whisper"], indirect=True)
@torch.inference_mode()
def test_hidden_tokens_of_windows_are_those_of_the_encoder_within(loaded: Loaded) -> None:
    assert loaded.spec.audio
    spec = dataclasses.replace(loaded.spec.audio, window_s=0.1)
    samples_NT, counts_N = batch_of(loaded.items())
    around = windowed(loaded.encoder, spec)
    outer, inner = as_pretrained(around), as_pretrained(loaded.encoder)
    assert outer
    assert inner
    hidden_NSH, mask_NS = outer.hidden(samples_NT, counts_N)
    tokens_NSD, tokens_mask_NS = around(samples_NT, counts_N)
    assert hidden_NSH.shape[2] == outer.hidden_size == 16
    assert mask_NS.equal(tokens_mask_NS)
    assert torch.allclose(outer.project(hidden_NSH), tokens_NSD, atol=1e-6)
    begin_NSH, _ = inner.hidden(samples_NT[:, : 1600 + 240], counts_N.clamp(max=1600 + 240))
    assert torch.allclose(hidden_NSH[0, :3], begin_NSH[0, :3], atol=1e-5)


@pytest.mark.parametrize("loaded", TEXT_FAMILIES, indirect=True)
@torch.inference_mode()
def test_words_are_those_of_the_sources_tokenizer_and_model(loaded: Loaded) -> None:
    model = load_model(loaded.config, "text").eval()
    for text, item in zip(TEXTS, loaded.items(), strict=True):
        encoding = loaded.processor(text, return_tensors="pt", return_special_tokens_mask=True)
        own = encoding.pop("special_tokens_mask")[0] == 0
        expected = loaded.encoder.project(model(**encoding).last_hidden_state[:, own])
        assert torch.allclose(loaded.encoder(*item)[0], expected, atol=1e-5)


@pytest.mark.parametrize("loaded", IMAGE_FAMILIES, indirect=True)
@torch.inference_mode()
def test_cells_are_those_of_the_sources_processor_and_model(loaded: Loaded) -> None:
    assert loaded.spec.image
    ((pixels,), *_) = loaded.items()
    model = load_model(loaded.config, "image").eval()
    inputs = loaded.processor(
        Image.fromarray(pixels[0].numpy()), do_resize=False, do_center_crop=False, return_tensors="pt"
    )
    hidden = model(**inputs).last_hidden_state
    cells = loaded.spec.image.rows * loaded.spec.image.columns
    own = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden[:, -cells:]
    assert own.shape[1] == cells
    assert torch.allclose(loaded.encoder(pixels)[0], loaded.encoder.project(own), atol=1e-5)


@pytest.mark.parametrize("loaded", WAVE_FAMILIES, indirect=True)
@torch.inference_mode()
def test_moments_are_those_of_the_sources_extractor_and_model(loaded: Loaded) -> None:
    """As many as the contract counts: attention goes back to seconds by it."""
    assert loaded.spec.audio
    model = load_model(loaded.config, "audio").eval()
    for samples, counts in loaded.items():
        wave_T = samples[0].numpy() / 32768
        inputs = loaded.processor(wave_T, sampling_rate=16000, return_tensors="pt")
        expected = loaded.encoder.project(model(inputs.input_values).last_hidden_state)
        tokens, _ = loaded.encoder(samples, counts)
        assert tokens.shape[1] == sound_tokens(int(counts), loaded.spec.audio)
        assert torch.allclose(tokens, expected, atol=2e-5)


@pytest.mark.parametrize("loaded", ["whisper"], indirect=True)
@torch.inference_mode()
def test_whispers_moments_are_its_own_up_to_attention_over_silence(loaded: Loaded) -> None:
    """Reference: Whisper's extractor, convolutions and layers over the positions that the sound fills."""
    assert loaded.spec.audio
    model = load_model(loaded.config, "audio").eval()
    for samples, counts in loaded.items():
        count = sound_tokens(int(counts), loaded.spec.audio)
        wave_T = samples[0].numpy() / 32768
        mels = loaded.processor(wave_T, sampling_rate=16000, return_tensors="pt").input_features
        hidden = nn.functional.gelu(model.conv2(nn.functional.gelu(model.conv1(mels)))).transpose(1, 2)
        hidden = hidden[:, :count] + model.embed_positions.weight[:count]
        for layer in model.layers:
            hidden = layer(hidden, None)
        expected = loaded.encoder.project(model.layer_norm(hidden))
        tokens, mask = loaded.encoder(samples, counts)
        assert int(mask.sum()) == count
        assert torch.allclose(tokens[:, :count], expected, atol=2e-5)
