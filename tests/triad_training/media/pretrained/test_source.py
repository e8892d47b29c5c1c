"""A source that cannot be used is refused in one sentence that names the option."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

from tests.triad_training.conftest import make_toy_folder
from tests.triad_training.media.pretrained.conftest import SMALL
from triad_serving.contract.errors import ConfigError, SetupError
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.text.spec import TextSpec
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.media import encoders
from triad_training.media.audio.wave import WaveEncoder
from triad_training.media.encoders import with_fitted_spec
from triad_training.media.image.pretrained import image_spec
from triad_training.media.pretrained.config import PretrainedConfig, PretrainedImageConfig
from triad_training.media.pretrained.source import library, load_model, model_shape
from triad_training.media.text.pretrained import PretrainedTextEncoder, load_lexicon

SourceOf = Callable[[str], Path]


def sounds_by(source: Path, max_s: float, window_s: float = 0.0) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "name": "one",
            "data": {"table": "none.csv", "text": "", "image": ""},
            "tasks": {"kind": {}},
            "preprocess": {"audio": {"max_s": max_s, "window_s": window_s}},
            "model": {"audio_encoder": {"source": str(source)}},
        }
    )


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.text_encoder\.source: .* cannot be loaded"):
        load_model(PretrainedConfig(source=str(tmp_path)), "text")


def test_a_model_that_lacks_weights_is_refused(source_of: SourceOf, tmp_path: Path) -> None:
    """They would be random, and stay so where they are frozen."""
    shutil.copytree(source_of("bert"), tmp_path / "cut")
    config = json.loads((tmp_path / "cut" / "config.json").read_text("utf-8"))
    (tmp_path / "cut" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}), "utf-8")
    with pytest.raises(ConfigError, match=r"lacks 16 arrays .* encoder\.layer\.2"):
        load_model(PretrainedConfig(source=str(tmp_path / "cut")), "text")


def test_an_architecture_whose_padding_may_leak_is_refused(tmp_path: Path) -> None:
    transformers.Data2VecAudioConfig(**SMALL).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"is of type data2vec-audio; read are wav2vec2, .*, whisper\."):
        with_fitted_spec(sounds_by(tmp_path, 1.0))


def test_positions_that_are_normalised_over_the_batch_are_refused(
    source_of: SourceOf, tmp_path: Path
) -> None:
    shutil.copytree(source_of("hubert"), tmp_path / "hubert")
    config = transformers.HubertConfig.from_pretrained(tmp_path / "hubert", conv_pos_batch_norm=True)
    transformers.HubertModel(config).save_pretrained(tmp_path / "hubert")
    with pytest.raises(ConfigError, match="answers would depend on neighbours"):
        WaveEncoder(PretrainedConfig(source=str(tmp_path / "hubert")), width=8)


def test_sound_beyond_whispers_positions_is_refused(source_of: SourceOf) -> None:
    assert with_fitted_spec(sounds_by(source_of("whisper"), 2.0)).spec.audio == AudioSpec(
        sample_rate_hz=16000, max_s=2.0, window=400, hop=160, frames_per_token=2
    )
    with pytest.raises(ConfigError, match=r"preprocess\.audio\.max_s: .* reads 2 s, not 5; .*window_s = 2 "):
        with_fitted_spec(sounds_by(source_of("whisper"), 5.0))
    with_fitted_spec(sounds_by(source_of("whisper"), 5.0, window_s=2.0))


def test_more_sound_than_can_attend_to_itself_is_refused(source_of: SourceOf) -> None:
    """Its tokens are counted as the source makes them, not as preprocess.audio would: 200 in a second."""
    sounds_by(source_of("wav2vec2"), 11.0)
    with pytest.raises(ConfigError, match=r"max_s: .* makes 2200 tokens of 11 s, and at most 2048 can"):
        with_fitted_spec(sounds_by(source_of("wav2vec2"), 11.0))


def test_sound_shorter_than_one_frame_of_the_source_is_refused(source_of: SourceOf) -> None:
    config = sounds_by(source_of("whisper"), 0.025)
    short = dataclasses.replace(config.preprocess.audio, max_s=0.02, window=100)
    preprocess = config.preprocess.model_copy(update={"audio": short})
    with pytest.raises(ConfigError, match=r"frames it: max_s is 320 samples, less than the window of 400\."):
        with_fitted_spec(config.model_copy(update={"preprocess": preprocess}))


def test_images_smaller_than_a_patch_are_refused(source_of: SourceOf) -> None:
    encoder = PretrainedImageConfig(source=str(source_of("vit")), size=2)
    with pytest.raises(ConfigError, match=r"size: .* cannot read 2 x 2 pixels"):
        image_spec(ImageSpec(), encoder)


def test_text_beyond_the_models_positions_is_refused(source_of: SourceOf) -> None:
    encoder = PretrainedConfig(source=str(source_of("roberta")))  # 70 positions, of which 2 are never used
    PretrainedTextEncoder(TextSpec(max_tokens=66), encoder, width=8)
    with pytest.raises(ConfigError, match=r"max_tokens: .* cannot read 67 tokens and 2 around them"):
        PretrainedTextEncoder(TextSpec(max_tokens=67), encoder, width=8)


def test_the_size_is_the_sources_unless_another_is_named(source_of: SourceOf) -> None:
    def spec(family: str, size: int = 0) -> ImageSpec:
        return image_spec(
            ImageSpec(fit="crop"), PretrainedImageConfig(source=str(source_of(family)), size=size)
        )

    assert spec("vit") == ImageSpec(height=16, width=16, rows=4, columns=4, fit="crop")
    assert spec("vit", 32) == ImageSpec(height=32, width=32, rows=8, columns=8, fit="crop")
    assert spec("dinov2-registers") == ImageSpec(height=16, width=16, rows=4, columns=4, fit="crop")
    assert spec("convnext") == ImageSpec(height=64, width=64, rows=2, columns=2, fit="crop")


def test_images_that_are_not_square_need_a_size(source_of: SourceOf, tmp_path: Path) -> None:
    shutil.copytree(source_of("vit"), tmp_path / "vit")
    transformers.ViTImageProcessorPil(size={"height": 16, "width": 32}).save_pretrained(tmp_path / "vit")
    with pytest.raises(ConfigError, match=r"does not read squares; .* model\.image_encoder\.size"):
        image_spec(ImageSpec(), PretrainedImageConfig(source=str(tmp_path / "vit")))


def test_more_weights_than_an_onnx_file_holds_are_refused_before_any_training(
    source_of: SourceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "MAX_WEIGHTS", 1000)
    config = sounds_by(source_of("wav2vec2"), 1.0)
    with pytest.raises(ConfigError, match=r"encoders have \d,\d+ weights; an ONNX file holds at most 1,000"):
        encoders.build_encoders(config, config.spec, {})


def test_only_the_part_that_reads_the_medium_is_kept(source_of: SourceOf) -> None:
    siglip = model_shape(PretrainedConfig(source=str(source_of("siglip"))), "image")
    assert not [name for name, _ in siglip.named_parameters() if "text" in name or "head" in name]
    whisper = model_shape(PretrainedConfig(source=str(source_of("whisper"))), "audio")
    assert not [name for name, _ in whisper.named_parameters() if "decoder" in name]
    assert load_model(PretrainedConfig(source=str(source_of("bert"))), "text").pooler is None


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SetupError, match=r"transformers is missing: pip install triad-serving\[pretrained\]"):
        library()


def test_a_source_is_a_folder_beside_the_config_or_a_name(tmp_path: Path) -> None:
    folder = make_toy_folder(tmp_path)
    (folder / "vit").mkdir()
    overrides = ["model.image_encoder.source=vit", "model.audio_encoder.source=openai/whisper-tiny"]
    config = load_config(folder / "config.toml", overrides)
    assert config.model.image_encoder
    assert config.model.image_encoder.source == str((folder / "vit").resolve())
    assert config.model.audio_encoder
    assert config.model.audio_encoder.source == "openai/whisper-tiny"
    assert config.portable()["model"]["image_encoder"]["source"] == "vit"


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("preprocess.text.pos=true", r"preprocess\.text\.pos: of no use with model\.text_encoder"),
        ("augment.text.split=0.1", r"augment\.text\.split: of no use"),
        ("lexicon.min_count=3", "lexicon: of no use"),
        ("model.text_encoder.tune=true", r"model\.text_encoder\.tune"),
        ("model.text_encoder.tune=0", r"model\.text_encoder\.tune"),
    ],
)
def test_options_that_a_tokenizer_has_no_use_for_are_refused(
    tmp_path: Path, option: str, complaint: str
) -> None:
    config = make_toy_folder(tmp_path) / "config.toml"
    overrides = ["preprocess.text.pos=false", "model.text_encoder.source=bert", option]
    with pytest.raises(ConfigError, match=complaint):
        load_config(config, overrides)


@pytest.mark.parametrize("option", ["model.denoise=true", "model.features=mfcc"])
def test_features_of_our_own_are_refused_beside_a_pretrained_audio_encoder(
    tmp_path: Path, option: str
) -> None:
    config = make_toy_folder(tmp_path) / "config.toml"
    with pytest.raises(ConfigError, match=r"model\.denoise: of no use with model\.audio_encoder"):
        load_config(config, ["model.audio_encoder.source=wav2vec2", option])


def test_a_lexicon_has_the_sources_ids_behind_the_two_reserved_ones(source_of: SourceOf) -> None:
    lexicon = load_lexicon(PretrainedConfig(source=str(source_of("bert"))))
    assert lexicon.size == 14 + 2
    assert lexicon.id_of("shin") == 5 + 2
    assert lexicon.surroundings() == ([2], [3])  # [CLS] and [SEP]
