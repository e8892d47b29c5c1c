"""The network of a bundle, rebuilt from its stored config and weights: to go on with, prune or distil."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from triad_serving.contract.errors import BundleError
from triad_serving.inference.bundle import WEIGHTS_FILE, Bundle
from triad_training.config.reading import trained_config
from triad_training.config.train_config import TrainConfig
from triad_training.media.config import AugmentConfig
from triad_training.network.head import BELIEFS
from triad_training.network.model import TriadModel
from triad_training.network.prunable import resize_like


def rebuild_network(bundle: Bundle) -> TriadModel:
    """In evaluation mode. Raises BundleError where the bundle has no weights, or not those of its config."""
    if bundle.weights_path is None:
        raise BundleError(
            f"Bundle {bundle.path} holds no {WEIGHTS_FILE}, which is needed to go on from its network; "
            "train it anew, or name the bundle that it was compressed from."
        )
    model = TriadModel(_config_of(bundle), bundle.spec, bundle.tasks, bundle.assets)
    try:
        tensors = _beliefs(model) | load_file(bundle.weights_path)
        resize_like(model, tensors)
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:  # a missing, strange or misshapen tensor
        why = " ".join(str(error).split())  # torch lists its complaints in lines
        raise BundleError(f"Bundle {bundle.path}: {WEIGHTS_FILE} is not of its network ({why}).") from error
    model.asks_experts = bool(model.expert_names)
    return model.eval()


def _beliefs(model: TriadModel) -> dict[str, Tensor]:
    """How far heads believe what they are told: networks from before there were linear experts hold none."""
    state = model.state_dict()
    return {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] in BELIEFS}


def _config_of(bundle: Bundle) -> TrainConfig:
    """With the bundle's own files as sources of its pretrained encoders, and without augmentation."""
    config = trained_config(bundle.manifest.training)
    model = config.model.with_sources(lambda field, _: str(bundle.path / f"{field}.json"))
    return config.model_copy(update={"model": model, "augment": AugmentConfig()})
