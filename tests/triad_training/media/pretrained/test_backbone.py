"""What of a pretrained model learns, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from triad_serving.contract.errors import ConfigError
from triad_training.config.train_config import OptimConfig
from triad_training.learning.optimizer import parameter_groups
from triad_training.media.pretrained.backbone import Backbone, Projection, attention_bias
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.efficientnet import EfficientNetConfig, EfficientNetLite
from triad_training.media.pretrained.low_rank import merge_low_rank
from triad_training.media.pretrained.source import load_model


@pytest.fixture
def bert(source_of: Callable[[str], Path]) -> torch.nn.Module:
    """Two layers."""
    model: torch.nn.Module = load_model(PretrainedConfig(source=str(source_of("bert"))), "text")
    return model


def learning(backbone: Backbone) -> set[str]:
    named = backbone.model.named_parameters()
    return {name.split(".attention")[0] for name, parameter in named if parameter.requires_grad}


def test_a_frozen_model_neither_learns_nor_drops_out(bert: torch.nn.Module) -> None:
    backbone = Backbone(bert, PretrainedConfig(source="bert")).train()
    assert learning(backbone) == set()
    assert not any(module.training for module in backbone.model.modules())
    assert parameter_groups(backbone, OptimConfig()) == []


def test_the_top_layers_learn_and_those_below_stay_in_evaluation(bert: torch.nn.Module) -> None:
    backbone = Backbone(bert, PretrainedConfig(source="bert", tune=1)).train()
    assert all(name.startswith("encoder.layer.1") for name in learning(backbone))
    layers = backbone.model.encoder.layer
    assert layers[1].attention.self.dropout.training
    assert not layers[0].attention.self.dropout.training
    assert not backbone.model.embeddings.dropout.training


def test_each_layer_further_down_moves_slower_than_the_one_above(bert: torch.nn.Module) -> None:
    config = PretrainedConfig(source="bert", tune="all", learning_rate=1e-4, layer_decay=0.5)
    model = torch.nn.Sequential(Backbone(bert, config), Projection(16, 8))
    optim = OptimConfig(learning_rate=1e-2, weight_decay=0.1)
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, optim)
        for parameter in group["params"]
    }
    named = {
        "embeddings.word_embeddings.weight": (2.5e-5, 0.1),
        "encoder.layer.0.output.dense.weight": (5e-5, 0.1),
        "encoder.layer.1.output.dense.weight": (1e-4, 0.1),
        "encoder.layer.1.output.dense.bias": (1e-4, 0.0),
    }
    for name, expected in named.items():
        assert rates[id(bert.get_parameter(name))] == pytest.approx(expected), name
    assert rates[id(model[1].linear.weight)] == (1e-2, 0.1)
    assert len(rates) == sum(1 for _ in model.parameters())


def test_norms_behind_the_layers_learn_with_the_top_one(source_of: Callable[[str], Path]) -> None:
    vit = load_model(PretrainedConfig(source=str(source_of("vit"))), "image")
    rates = Backbone(vit, PretrainedConfig(source="vit", tune=1)).rates
    assert rates["layernorm.weight"] == rates["layers.1.layernorm_before.weight"]
    assert "layers.0.layernorm_before.weight" not in rates


def test_more_layers_than_there_are_cannot_learn(bert: torch.nn.Module) -> None:
    with pytest.raises(ConfigError, match="tune: bert has 2 layers, not 3"):
        Backbone(bert, PretrainedConfig(source="bert", tune=3))


def test_padding_gets_no_attention() -> None:
    bias_N11L = attention_bias(torch.tensor([[True, False]]))
    assert (bias_N11L[0, 0, 0] + torch.tensor([3.0, 50.0])).softmax(0).tolist() == [1.0, 0.0]


def lora(source: str) -> PretrainedConfig:
    return PretrainedConfig(source=source, tune="lora", rank=3, learning_rate=1e-2, layer_decay=0.5)


def test_changes_of_low_rank_alone_learn_and_begin_as_none(bert: torch.nn.Module) -> None:
    ids = torch.randint(5, 14, (3, 6))
    expected = bert.eval()(input_ids=ids).last_hidden_state
    backbone = Backbone(bert, lora("bert"))
    assert torch.equal(backbone.eval().model(input_ids=ids).last_hidden_state, expected)
    rates = {name: rate for name, rate in backbone.rates.items() if "attention.self.query" in name}
    assert rates == {
        f"encoder.layer.{layer}.attention.self.query.low_rank_{part}": rate
        for layer, rate in ((0, 5e-3), (1, 1e-2))
        for part in ("down_RI", "up_OR")
    }
    learning = {name for name, parameter in bert.named_parameters() if parameter.requires_grad}
    assert learning == set(backbone.rates)
    assert len(learning) == 2 * 2 * 6


def test_merged_changes_answer_as_they_did_by_the_names_of_the_source(bert: torch.nn.Module) -> None:
    names = list(bert.state_dict())
    ids = torch.randint(5, 14, (3, 6))
    before = bert.eval()(input_ids=ids).last_hidden_state
    backbone = Backbone(bert, lora("bert"))
    optimizer = torch.optim.AdamW(parameter_groups(backbone, OptimConfig()))
    for _ in range(3):
        backbone.model(input_ids=ids).last_hidden_state[..., 0].mean().backward()
        optimizer.step()
    learnt = backbone.eval().model(input_ids=ids).last_hidden_state
    merge_low_rank(backbone)
    merged = backbone.model(input_ids=ids).last_hidden_state
    assert (learnt - before).abs().max() > 1e-2
    assert torch.allclose(merged, learnt, atol=1e-5)
    assert list(bert.state_dict()) == names


def test_a_bundles_weights_get_no_further_change(bert: torch.nn.Module) -> None:
    backbone = Backbone(bert, lora("models/toy/1/text_encoder.json"))
    assert backbone.rates == {}


def test_convolutions_alone_cannot_change_by_low_rank() -> None:
    model = EfficientNetLite(EfficientNetConfig(variant="lite0"))
    with pytest.raises(ConfigError, match="tune: lite0 has no linear layers that lora could change"):
        Backbone(model, lora("lite0"))
