"""Network and graph compared on real examples, and on what no table holds, before anyone gets the graph."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from triad_serving.contract.errors import ExportError
from triad_serving.contract.outputs import MediumName, ModelOutputs, media_subsets
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.session import EVERYTHING, Session
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_training.data.dataset import ExampleDataset
from triad_training.media.registry import present
from triad_training.network.model import TriadModel

# Largest difference of any output, fp32; relative to the output's own size where that is above 1 (of a
# regression: above the target's), as logits of a sure answer are.
MAX_DRIFT = 1e-4
DEGENERATE_DRIFT = 1e-3  # of degenerate media: to divide by a spread near zero multiplies what is rounded
PARITY_EXAMPLES = 8  # of each medium


def parity_examples(dataset: ExampleDataset) -> list[ModelInputs]:
    """The first few examples of each medium."""
    chosen: set[int] = set()
    for medium in dataset.spec.media:
        having = (i for i, example in enumerate(dataset.examples) if medium in example.media)
        chosen.update(itertools.islice(having, PARITY_EXAMPLES))
    return [dataset[i].inputs for i in sorted(chosen)]


def check_parity(
    model: TriadModel, session: Session, spec: PreprocessSpec, examples: Sequence[ModelInputs]
) -> float:
    """Largest difference between network and graph, over all outputs, on the examples' media in every subset.

    Each subset runs as a batch of its own (zero rows of every absent medium), then all of them mixed in one.
    Where an example lacks a medium, another's stands in, so that no subset goes unseen. Degenerate media,
    which no table may hold and every service is sent, are compared likewise, and do not count in the result.
    Raises ExportError past MAX_DRIFT or DEGENERATE_DRIFT, and where an output of either is not finite.
    """
    drift = _check_examples(model, session, spec, examples, MAX_DRIFT)
    _check_examples(model, session, spec, degenerate_examples(spec), DEGENERATE_DRIFT)
    return drift


def degenerate_examples(spec: PreprocessSpec) -> list[ModelInputs]:
    """Of each medium alone: silence, unknown words, an image of one colour and their like."""
    return [
        ModelInputs(**{medium.serving.name: item})
        for medium, own in present(spec)
        for item in medium.degenerate(own)
    ]


def _check_examples(
    model: TriadModel,
    session: Session,
    spec: PreprocessSpec,
    examples: Sequence[ModelInputs],
    limit: float,
) -> float:
    complete = _complete(examples)
    batches = [[example.only(*subset) for example in complete] for subset in media_subsets(complete[0].media)]
    batches.append([example for batch in batches for example in batch])
    drift = float(np.max([_difference(model, session, spec, batch) for batch in batches]))
    if not drift <= limit:  # a NaN is a refusal, too
        raise ExportError(
            f"The exported graph drifts from the network by {drift:.2e}; at most {limit:.0e} is allowed.",
            limit=limit,
            value=drift,
        )
    return drift


def _complete(examples: Sequence[ModelInputs]) -> list[ModelInputs]:
    """As many examples, each with every medium that any of these has; items repeat where they are few."""
    items: dict[MediumName, list[Any]] = {}
    for example in examples:
        for medium, item in present(example):
            items.setdefault(medium.serving.name, []).append(item)
    return [
        ModelInputs(**{name: found[n % len(found)] for name, found in items.items()})
        for n in range(len(examples))
    ]


@torch.inference_mode()
def _difference(
    model: TriadModel, session: Session, spec: PreprocessSpec, batch: Sequence[ModelInputs]
) -> float:
    inputs = {name: torch.from_numpy(array) for name, array in pack_batch(batch, spec).items()}
    expected = {name: tensor.numpy() for name, tensor in model(inputs).items()}
    units = {f"logits.{task}": model.head(task).unit for task in model.heads}
    found = session.run(batch, EVERYTHING)
    distances = [
        np.abs(array - wanted).max() / max(units.get(name, 1.0), np.abs(wanted).max())
        for b, outputs in enumerate(found)
        for name, array in _named(outputs).items()
        if array.size  # a transcript without a sound has none
        for wanted in (expected[name][b, : len(array)],)
    ]
    return float(np.max(distances))  # which a NaN among them makes NaN, as Python's own max does not


def _named(outputs: ModelOutputs) -> dict[str, np.ndarray]:
    arrays = {f"logits.{task}": array for task, array in outputs.logits_K.items()}
    for kind, tasks in (("attention", outputs.attention), ("rollout", outputs.rollout)):
        for task, media in tasks.items():
            arrays |= {f"{kind}.{task}.{medium}": array for medium, array in media.items()}
    arrays |= {f"fusion.{layer}": array for layer, array in enumerate(outputs.fusion_HMM, start=1)}
    return arrays | {f"embedding.{part}": array for part, array in outputs.embeddings_D.items()}
