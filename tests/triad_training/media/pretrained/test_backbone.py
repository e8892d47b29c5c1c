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
