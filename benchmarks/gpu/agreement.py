"""Whether a device answers as the CPU does: every subset of media, absent media, batches of every size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.media import make_examples
from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import ModelOutputs, media_subsets
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Prediction
from triad_serving.inference.options import Options
from triad_serving.inference.session import EVERYTHING, Session
from triad_serving.media.example import ModelInputs, RawInputs

THREADS = 4


def compare_sessions(
    own: Session, reference: Session, examples: Sequence[ModelInputs], sizes: Sequence[int]
) -> dict[str, float]:
    """Largest difference from the reference, of any output, relative to its size where that is above 1.

    examples: with all media that the model reads. `neighbours`: between the same rows alone and in a batch,
    both on the device. Every batch runs twice, and the second one counts, too: what is recorded must be
    replayed right.
    """
    subsets = media_subsets(examples[0].media)
    rows = [example.only(*subset) for example in examples for subset in subsets]
    expected = [reference.run([row], EVERYTHING)[0] for row in rows]
    alone = [own.run([row], EVERYTHING)[0] for row in rows]

    def differ(places: Sequence[int], against: Sequence[ModelOutputs] = expected) -> float:
        found = 0.0
        for _ in range(2):
            outputs = own.run([rows[n] for n in places], EVERYTHING)
            found = max(found, *(difference(out, against[n]) for out, n in zip(outputs, places, strict=True)))
        return found

    found = {"each row alone": max(map(difference, alone, expected))}
    for s, subset in enumerate(subsets):
        found[f"{'+'.join(subset)} as a batch"] = differ(range(s, len(rows), len(subsets)))
    found["all subsets in one batch"] = differ(range(len(rows)))
    found["the subsets of one example, which share its items"] = differ(range(len(subsets)))
    for size in sizes:
        found[f"a batch of {size}"] = differ([n % len(rows) for n in range(size)])
    found["neighbours"] = differ(range(len(rows)), alone)
    found["four threads at once"] = _from_threads(differ, len(rows))
    return found


def difference(own: ModelOutputs, other: ModelOutputs) -> float:
    """NaN where one is not finite."""
    mine, others = _arrays(own), _arrays(other)
    if mine.keys() != others.keys():
        raise ValueError(f"{sorted(mine)} is not {sorted(others)}")
    distances = [
        np.abs(mine[name] - others[name]).max() / max(1.0, np.abs(others[name]).max()) for name in mine
    ]
    return float(np.max(distances))


def compare_engines(
    own: Engine, reference: Engine, *, requests: int, sound_s: float
) -> dict[str, float | str]:
    """Whole requests of every subset of media, attention and Shapley values asked for, many at once.

    Largest differences: of probabilities, of attention's shares, and of baseline plus values from the
    probability.
    """
    examples = make_examples(sound_s=sound_s)
    media = own.catalog.find().bundle.spec.media
    raws = [_only(raw, subset) for raw in examples for subset in media_subsets(media)]
    options = Options(attention="full", explain="shapley")
    chosen = list(itertools.islice(itertools.cycle(raws), requests))
    with ThreadPoolExecutor(min(32, requests)) as pool:
        found = list(pool.map(lambda raw: own.predict_sync(raw, options), chosen))
    expected = [reference.predict_sync(raw, options) for raw in raws]
    pairs = [(each, expected[n % len(raws)]) for n, each in enumerate(found)]
    return {
        "probability": max(abs(_probability(a) - _probability(b)) for a, b in pairs),
        "share of attention": max(_attention_apart(a, b) for a, b in pairs),
        "Shapley values do not sum up by": max(map(_unexplained, found)),
        "answered": len(found),
        "precision": found[0].precision,
    }


def _from_threads(differ: Callable[[Sequence[int]], float], rows: int) -> float:
    with ThreadPoolExecutor(THREADS) as pool:
        return max(pool.map(differ, [range(n % 3, rows) for n in range(4 * THREADS)]))


def _arrays(outputs: ModelOutputs) -> dict[str, F32]:
    arrays = {f"logits.{task}": array for task, array in outputs.logits_K.items()}
    for kind, tasks in (("attention", outputs.attention), ("rollout", outputs.rollout)):
        for task, by_medium in tasks.items():
            arrays |= {f"{kind}.{task}.{medium}": array for medium, array in by_medium.items()}
    return arrays | {f"embedding.{part}": array for part, array in outputs.embeddings_D.items()}


def _only(raw: RawInputs, media: Sequence[str]) -> RawInputs:
    return RawInputs(**{medium: getattr(raw, medium) for medium in media})


def _first(prediction: Prediction) -> Mapping[str, object]:
    """The first task's answer, as JSON has it."""
    answer: Mapping[str, object] = next(iter(prediction.model_dump()["predictions"].values()))
    return answer


def _probability(prediction: Prediction) -> float:
    return float(str(_first(prediction)["probability"]))


def _attention_apart(own: Prediction, other: Prediction) -> float:
    mine, others = _shares(own), _shares(other)
    return max(abs(mine[medium] - others[medium]) for medium in others)


def _shares(prediction: Prediction) -> dict[str, float]:
    attention = _first(prediction)["attention"]
    assert isinstance(attention, Mapping)
    shares: dict[str, float] = {k: v for k, v in attention["modalities"].items() if v is not None}
    return shares


def _unexplained(prediction: Prediction) -> float:
    attribution = _first(prediction)["attribution"]
    assert isinstance(attribution, Mapping)
    values = (attribution.get(medium) for medium in ("text", "image", "audio"))
    total = float(attribution["baseline"]) + sum(value for value in values if value is not None)
    return abs(total - _probability(prediction))
