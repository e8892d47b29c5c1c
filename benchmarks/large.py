"""Writes the bundle of large.toml: what `triad train` would make of it, without training. Needs torch.

    python -m benchmarks.large [--config FILE] [--out DIR]

Its words are the most frequent of jieba's dictionary.
"""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import jieba
import torch
from safetensors.torch import save

from benchmarks.media import make_examples
from benchmarks.pipeline import LIMITS
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import MODEL_FILE, WEIGHTS_FILE, Bundle, BundleManifest, write_bundle
from triad_serving.inference.session import Session
from triad_serving.media.preprocess import preprocess
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.words import Vocabulary
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.media.encoders import with_fitted_spec
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity

HERE = Path(__file__).parent
SEED = 20261125
PARITY_EXAMPLES = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=HERE / "large.toml")
    parser.add_argument("--out", type=Path, default=HERE / ".models")
    options = parser.parse_args()
    config = load_config(options.config)
    destination = options.out / config.name / config.version
    if destination.exists():
        sys.stdout.write(f"{destination} is there already.\n")
        return
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    bundle = build_bundle(config, destination)
    sys.stdout.write(f"{destination}: {bundle.manifest.parameters:,} weights\n")


def build_bundle(config: TrainConfig, destination: Path) -> Bundle:
    """The same weights every time. Raises BundleError where it exists, ExportError on drift."""
    torch.manual_seed(SEED)
    config = with_fitted_spec(config)
    spec = config.spec
    lexicon = WordLexicon(vocabulary=Vocabulary(frequent_words(config.lexicon.max_words)))
    assets = {"text": lexicon}
    tasks = [
        Task(name=name, type=task.type, labels=task.labels, prior=(1 / len(task.labels),) * len(task.labels))
        for name, task in config.tasks.items()
    ]
    model = TriadModel(config, spec, tasks, assets)
    graph = export_graph(model, spec, tasks)
    session = Session(graph, spec=spec, tasks=tasks, device="cpu", threads=torch.get_num_threads())
    sounds = make_examples(sound_s=spec.audio.max_s if spec.audio else 1.0)[:PARITY_EXAMPLES]
    check_parity(model, session, spec, [preprocess(raw, spec, assets, LIMITS) for raw in sounds])
    manifest = BundleManifest(
        name=config.name,
        version=config.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        description=config.description,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        preprocess=spec,
        tasks=tuple(tasks),
        training=config.portable(),
    )
    weights = {MODEL_FILE: graph, WEIGHTS_FILE: save(model.state_dict())}
    return write_bundle(destination, manifest, {**weights, **lexicon.files()})


def frequent_words(count: int) -> list[str]:
    """Of jieba's dictionary, each line of which is a word, how often it was seen, and its part of speech."""
    with jieba.Tokenizer().get_dict_file() as file:
        entries = [line.decode().split() for line in file]
    ranked = sorted(entries, key=lambda entry: (-int(entry[1]), entry[0]))
    return [entry[0] for entry in ranked[:count]]


if __name__ == "__main__":
    main()
