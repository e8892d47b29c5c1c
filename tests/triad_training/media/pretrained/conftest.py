"""Tiny models of every family, randomly initialised and saved as their makers would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from triad_training.media.pretrained.efficientnet import EfficientNetConfig, EfficientNetLite, Variant

ONE = {"num_hidden_layers": 1}  # where a second layer would only cost time
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
WAVE = {
    "conv_dim": (8, 8),
    "conv_kernel": (10, 8),
    "conv_stride": (10, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    **SMALL,
    **ONE,
}
SIDE = 16
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
SENTENCES = ["明亮 day", "shining sun", "黑暗 night", "gloomy moon"]


def save_source(folder: Path, family: str) -> Path:
    """The folder of a tiny model of this family, with its preprocessor."""
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = MODELS[family]()
    for name, parameter in model.named_parameters():
        if "gru_rel" in name or "bias" in name:  # begin as constants, which would hide a mistake
            torch.nn.init.normal_(parameter, std=0.5)
    folder.mkdir()
    model.save_pretrained(folder)
    for preprocessor in PREPROCESSORS[family]():
        preprocessor.save_pretrained(folder)
    return folder


def efficientnet_arrays(variant: Variant) -> dict[str, torch.Tensor]:
    """Random weights in the names of EfficientNet-PyTorch, of which signals neither explode nor die out."""
    random = torch.Generator().manual_seed(0)
    arrays = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    for name, array in EfficientNetLite(EfficientNetConfig(variant=variant)).state_dict().items():
        if array.ndim == 4:
            array.normal_(std=(2 / array[0].numel()) ** 0.5, generator=random)
        elif name.endswith("running_var"):
            array.uniform_(0.5, 1.5, generator=random)
        elif array.is_floating_point():
            array.normal_(0.5, 0.2, generator=random)
        *modules, last = name.split(".")
        arrays[".".join([module if module.isdigit() else f"_{module}" for module in modules] + [last])] = (
            array
        )
    return arrays


@pytest.fixture(scope="session")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By family; each is made once."""
    root, made = tmp_path_factory.mktemp("sources"), dict[str, Path]()

    def source(family: str) -> Path:
        if family not in made:
            made[family] = save_source(root / family, family)
        return made[family]

    return source


def word_pieces() -> list[Any]:
    reserved = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*reserved, "shin", "##ing", "sun", "day", "night", *"明亮黑暗"]
    return [transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)})]


def byte_pairs() -> list[Any]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=SPECIALS, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return [transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")]


def unigrams() -> list[Any]:
    pieces = [*SPECIALS, "▁", "▁shin", "ing", "▁sun", "明亮", "▁day"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return [transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")]


def stretched() -> list[Any]:
    return [transformers.ViTImageProcessorPil(size={"height": SIDE, "width": SIDE})]


def cropped() -> list[Any]:
    crop = {"height": SIDE, "width": SIDE}
    return [transformers.BitImageProcessorPil(size={"shortest_edge": 18}, crop_size=crop)]


def whole() -> list[Any]:
    return [transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64})]


def normalised() -> list[Any]:
    return [transformers.Wav2Vec2FeatureExtractor(do_normalize=True)]


def plain() -> list[Any]:
    return [transformers.Wav2Vec2FeatureExtractor(do_normalize=False)]


def mels() -> list[Any]:
    return [transformers.WhisperFeatureExtractor(feature_size=16)]


def whisper() -> Any:
    sizes = {f"{half}_{what}": n for half in ("encoder", "decoder") for what, n in WHISPER_HALF.items()}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = transformers.WhisperConfig(
        vocab_size=20, d_model=16, num_mel_bins=16, max_source_positions=100, **sizes, **ids
    )
    return transformers.WhisperModel(config)


WHISPER_HALF = {"layers": 1, "attention_heads": 2, "ffn_dim": 24}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
VIT = {"image_size": SIDE, "patch_size": 4, **SMALL}
DINO = {
    "image_size": 24,
    "patch_size": 4,
    "mlp_ratio": 2,
    **SMALL,
    **ONE,
}  # larger than the crop: positions shrink
ROBERTA = {"vocab_size": 300, "max_position_embeddings": 70, "pad_token_id": 1, **SMALL, **ONE}
DISTIL = {"vocab_size": 20, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24}
CONVNEXT = {"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1], "layer_scale_init_value": 0.5}
MODELS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertModel(transformers.BertConfig(vocab_size=20, **SMALL)),
    "roberta": lambda: transformers.RobertaModel(transformers.RobertaConfig(**ROBERTA)),
    "xlm-roberta": lambda: transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**ROBERTA)),
    "distilbert": lambda: transformers.DistilBertModel(transformers.DistilBertConfig(**DISTIL)),
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**VIT)),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**DINO)),
    "dinov2-registers": lambda: transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**DINO)
    ),
    "siglip": lambda: transformers.SiglipModel(
        transformers.SiglipConfig(vision_config=VIT, text_config={"vocab_size": 20, **SMALL})
    ),
    "convnext": lambda: transformers.ConvNextModel(transformers.ConvNextConfig(**CONVNEXT)),
    "wav2vec2": lambda: transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**WAVE)),
    "wav2vec2-large": lambda: transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**{**WAVE, **LARGE})),
    "hubert": lambda: transformers.HubertModel(transformers.HubertConfig(feat_proj_layer_norm=False, **WAVE)),
    "wavlm": lambda: transformers.WavLMModel(transformers.WavLMConfig(**{**WAVE, **SMALL})),
    "whisper": whisper,
}
PREPROCESSORS: dict[str, Callable[[], list[Any]]] = {
    "bert": word_pieces,
    "roberta": byte_pairs,
    "xlm-roberta": unigrams,
    "distilbert": word_pieces,
    "vit": stretched,
    "dinov2": cropped,
    "dinov2-registers": cropped,
    "siglip": stretched,
    "convnext": whole,
    "wav2vec2": normalised,
    "wav2vec2-large": normalised,
    "hubert": plain,
    "wavlm": plain,
    "whisper": mels,
}
