"""What the graph says of a recording's windows, as if it had read all of it at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName, ModelOutputs
from triad_serving.media.registry import TRANSCRIBED
from triad_serving.media.windows import Window


def join_windows(
    outputs: Sequence[ModelOutputs], windows: Sequence[Window], transcripts: Sequence[str]
) -> ModelOutputs:
    """outputs: of each window, or of one example without a sound. transcripts: names of the tasks.

    Every other task is answered from the first window. Of a transcript each window gives the tokens that are
    kept of it; its attention counts by how many tokens the window has, so that those of a short last one do
    not stand out, and sums to 1 again.
    """
    first = outputs[0]
    if len(outputs) < len(windows):
        return first
    kept = [window.kept for window in windows]

    def along(arrays: Sequence[F32]) -> F32:
        return np.concatenate([array[own] for array, own in zip(arrays, kept, strict=True)])

    def weights(of_windows: Sequence[Mapping[MediumName, F32]]) -> dict[MediumName, F32]:
        joined = {}
        for medium in of_windows[0]:
            scaled = [each[medium] * np.float32(len(each[TRANSCRIBED.name])) for each in of_windows]
            joined[medium] = along(scaled) if medium == TRANSCRIBED.name else np.sum(scaled, axis=0)
        total = sum(float(array.sum()) for array in joined.values())
        return {medium: array / np.float32(total) for medium, array in joined.items()}

    return dataclasses.replace(
        first,
        logits_K={
            **first.logits_K,
            **{task: along([each.logits_K[task] for each in outputs]) for task in transcripts},
        },
        attention={
            task: weights([each.attention[task] for each in outputs]) if task in transcripts else own
            for task, own in first.attention.items()
        },
        rollout={
            task: weights([each.rollout[task] for each in outputs]) if task in transcripts else own
            for task, own in first.rollout.items()
        },
    )
