"""From three pretrained encoders to a served answer: two steps on the toy table, then the service alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.triad_training.conftest import make_toy_folder, table_folder, without_report
from tests.triad_training.media.pretrained.conftest import SIDE, efficientnet_arrays, save_source
from triad_serving.contract.errors import ConfigError
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Prediction
from triad_serving.inference.bundle import WEIGHTS_FILE, Bundle
from triad_serving.inference.options import Options
from triad_serving.inference.session import Session
from triad_serving.media.example import RawInputs
from triad_training.config.reading import load_config
from triad_training.learning.prepare import prepare
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.source import UNUSED, load_model
from triad_training.network.parity import check_parity, parity_examples
from triad_training.network.rebuild import rebuild_network
from triad_training.train import train_bundle

NAMES = ("text", "image", "audio")

PARTLY = """
[model.text_encoder]
source = "bert"
tune = 1
learning_rate = 1e-3
[model.image_encoder]
source = "vit"
tune = "lora"
rank = 2
learning_rate = 1e-3
[model.audio_encoder]
source = "wav2vec2"
"""
FAMILIES = ("bert", "vit", "wav2vec2")
OTHERS = (
    pytest.param(("roberta", "dinov2", "wavlm"), marks=pytest.mark.slow),
    ("distilbert", "convnext", "whisper"),
    pytest.param(("xlm-roberta", "siglip", "wav2vec2-large"), marks=pytest.mark.slow),
    pytest.param(("distilbert", "dinov2-registers", "hubert"), marks=pytest.mark.slow),
)


def train_two_steps(root: Path, sections: str, families: tuple[str, ...], *options: str) -> Bundle:
    """The sources lie in root/FAMILY; they are gone from beside the config when the bundle is served."""
    (root / "table").mkdir()
    config = make_toy_folder(root / "table") / "config.toml"
    plain = config.read_text("utf-8").replace("pos = true", "pos = false")
    config.write_text(plain + sections, encoding="utf-8")
    for family in families:
        save_source(root / "table" / family, family)
    with pytest.MonkeyPatch.context() as patch, without_report():
        patch.chdir(root)
        bundle = train_bundle(
            config, out=root / "models", overrides=["optim.epochs=1", "optim.batch_size=32", *options]
        )
    for family in families:
        shutil.move(root / "table" / family, root / family)
    return bundle


@pytest.fixture(scope="module")
def pretrained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return train_two_steps(tmp_path_factory.mktemp("pretrained"), PARTLY, FAMILIES)


def sent(bundle: Bundle) -> RawInputs:
    table = table_folder(bundle)
    return RawInputs(
        text="Ｓun 明亮, shining!", image=(table / "0.png").read_bytes(), audio=(table / "0.wav").read_bytes()
    )


@pytest.fixture(scope="module")
def answer(pretrained_bundle: Bundle) -> Prediction:
    with Engine.open(pretrained_bundle.path) as engine:
        return engine.predict_sync(sent(pretrained_bundle), Options(attention="full"))


def test_attention_goes_back_to_the_text_as_sent(answer: Prediction) -> None:
    attention = answer.predictions["kind"].attention
    assert attention
    assert attention.text
    words = [(word.token, word.start, word.end) for word in attention.text]
    assert words == [
        ("Ｓun", 0, 3),
        ("明", 4, 5),
        ("亮", 5, 6),
        (",", 6, 7),
        ("shin", 8, 12),
        ("ing", 12, 15),
        ("!", 15, 16),
    ]


def test_attention_goes_back_to_patches_and_seconds(answer: Prediction) -> None:
    attention = answer.predictions["kind"].attention
    assert attention
    assert attention.image
    assert attention.audio
    assert (attention.image.rows, attention.image.columns) == (SIDE // 4, SIDE // 4)
    assert attention.image.region == (0, 0, 20, 20)  # of the image as sent
    assert [moment.start for moment in attention.audio[:3]] == [0, 80 / 16000, 160 / 16000]
    assert 0.19 < attention.audio[-1].end <= 0.2  # of the 1600 samples at 8 kHz as sent
    weights = [word.weight for word in attention.text or ()]
    weights += [weight for row in attention.image.weights for weight in row]
    weights += [moment.weight for moment in attention.audio]
    assert sum(weights) == pytest.approx(1, abs=1e-4)


def test_an_encoder_of_waves_has_no_spectrum_to_hide(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"augment\.spectrum: the model computes no spectrum"):
        train_two_steps(
            tmp_path,
            '\n[model.audio_encoder]\nsource = "wav2vec2"\n',
            ("wav2vec2",),
            "augment.spectrum.bands=0.3",
        )


def linear_layers(model: torch.nn.Module, prefix: str) -> set[str]:
    return {f"{prefix}.{name}" for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}


def test_what_is_frozen_stays_and_the_rest_learns(pretrained_bundle: Bundle) -> None:
    """Reference: the sources' own files."""
    weights = load_file(pretrained_bundle.path / WEIGHTS_FILE)

    def moved(medium: str, family: str) -> set[str]:
        source = load_file(pretrained_bundle.path.parents[2] / family / "model.safetensors")
        held = {name: weights.get(f"encoders.{medium}.backbone.model.{name}") for name in source}
        return {
            name for name, tensor in held.items() if tensor is not None and not tensor.equal(source[name])
        }

    assert moved("audio", "wav2vec2") == set()
    text = moved("text", "bert")
    assert text
    assert all(name.startswith("encoder.layer.1.") for name in text)
    vit = load_model(PretrainedConfig(source=str(pretrained_bundle.path.parents[2] / "vit")), "image")
    begun = {f"encoders.image.backbone.model.{name}": tensor for name, tensor in vit.state_dict().items()}
    image = {name for name, tensor in begun.items() if not weights[name].equal(tensor)}
    assert image == {f"{name}.weight" for name in linear_layers(vit, "encoders.image.backbone.model")}
    assert len(image) == 2 * 6  # queries, keys, values, outputs and two in between
    assert not any("low_rank" in name for name in weights)


@pytest.mark.parametrize("families", OTHERS, ids="-".join)
def test_every_other_family_learns_and_serves_too(tmp_path: Path, families: tuple[str, str, str]) -> None:
    """Training ends with the comparison of network and graph over all subsets; Whisper hears in windows."""
    sections = "".join(
        f'[model.{medium}_encoder]\nsource = "{family}"\ntune = "all"\nlearning_rate = 1e-2\n'
        for medium, family in zip(NAMES, families, strict=True)
    )
    bundle = train_two_steps(
        tmp_path, sections, families, *(["preprocess.audio.window_s=0.1"] if "whisper" in families else [])
    )
    weights = load_file(bundle.path / WEIGHTS_FILE)
    for medium, family in zip(NAMES, families, strict=True):
        source = load_model(PretrainedConfig(source=str(tmp_path / family)), medium)
        ends = {name for name in weights if f"encoders.{medium}." in name and "backbone.model." in name}
        stored = {name.split("backbone.model.")[1].replace("original.", ""): weights[name] for name in ends}
        still = {
            name
            for name, tensor in source.named_parameters()
            if tensor.requires_grad and tensor.ndim > 1 and stored[name].equal(tensor)
        }
        assert not [name for name in still if not any(part in name for part in UNUSED)], family
    raw = sent(bundle)
    with Engine.open(bundle.path) as engine:
        for alone in NAMES:
            one = RawInputs(**{alone: getattr(raw, alone)})
            assert engine.predict_sync(one, Options()).predictions["kind"]
        attention = engine.predict_sync(raw, Options(attention="full")).predictions["kind"].attention
    assert attention
    assert attention.text
    assert attention.image
    assert attention.audio
    assert [(word.start, word.end) for word in attention.text][-1] == (15, 16)
    assert 0.17 < attention.audio[-1].end <= 0.2
    weights_of = [word.weight for word in attention.text] + [moment.weight for moment in attention.audio]
    weights_of += [weight for row in attention.image.weights for weight in row]
    assert sum(weights_of) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_an_efficientnet_learns_serves_and_is_rebuilt(tmp_path: Path) -> None:
    """Training compares network and graph over all subsets, so of no image, too."""
    torch.save(efficientnet_arrays("lite0"), tmp_path / "lite0.pth")
    sections = '[model.image_encoder]\nsource = "../lite0.pth"\nsize = 64\ntune = 1\nlearning_rate = 1e-3\n'
    bundle = train_two_steps(tmp_path, f"\n{sections}", ())
    assert bundle.manifest.training["model"]["image_encoder"]["source"] == "lite0.pth"
    (tmp_path / "lite0.pth").unlink()
    raw = sent(bundle)
    with Engine.open(bundle.path) as engine:
        attention = engine.predict_sync(raw, Options(attention="full")).predictions["kind"].attention
        assert engine.predict_sync(RawInputs(text="sun"), Options()).predictions["kind"]
    assert attention
    assert attention.image
    assert (attention.image.rows, attention.image.columns) == (2, 2)
    weights = load_file(bundle.path / WEIGHTS_FILE)
    rebuilt = rebuild_network(bundle).state_dict()
    assert all(tensor.equal(weights[name]) for name, tensor in rebuilt.items())


def test_the_network_is_rebuilt_without_its_sources(
    pretrained_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the bundle's own files: to prune, distil or go on with."""
    table = table_folder(pretrained_bundle)
    for family in FAMILIES:
        shutil.copytree(table.parent / family, table / family)
    examples = parity_examples(prepare(load_config(table / "config.toml")).validation)
    for family in FAMILIES:
        shutil.rmtree(table / family)
    torch.manual_seed(1)
    model = rebuild_network(pretrained_bundle)
    session = Session(
        pretrained_bundle.model_path,
        spec=pretrained_bundle.spec,
        tasks=pretrained_bundle.tasks,
        device="cpu",
    )
    assert check_parity(model, session, pretrained_bundle.spec, examples) < 5e-5
    files = set(pretrained_bundle.manifest.files)
    assert {"tokenizer.json", "image_processor.json", "audio_processor.json"} <= files
    assert "vocabulary.txt" not in files


def test_the_bundle_names_its_sources_without_a_path_of_the_machine(pretrained_bundle: Bundle) -> None:
    model = pretrained_bundle.manifest.training["model"]
    assert [model[f"{medium}_encoder"]["source"] for medium in ("text", "image", "audio")] == [
        "bert",
        "vit",
        "wav2vec2",
    ]
    for file in pretrained_bundle.manifest.files:
        if file.endswith(".json"):
            data = (pretrained_bundle.path / file).read_text("utf-8")
            assert str(pretrained_bundle.path.parents[2]) not in data, file
