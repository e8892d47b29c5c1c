"""Logits to probabilities, labels and values; attention back to words, regions and seconds."""

from __future__ import annotations

import numpy as np

from service.contract import F32, Task


def probabilities(logits_K: F32, task: Task) -> F32:
    """Calibrated probabilities of one row [K] or of a batch [B, K]; a regression's values stay as they are.

    A class's probabilities sum to 1, a tag's stand alone.
    """
    if task.type == "regression":
        return logits_K
    scaled_K = logits_K / np.float32(task.temperature)
    if task.type == "multilabel":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled_K)), dtype=np.float32)  # sigmoid, overflow-free
    exp_K = np.exp(scaled_K - scaled_K.max(axis=-1, keepdims=True))
    return np.asarray(exp_K / exp_K.sum(axis=-1, keepdims=True), dtype=np.float32)
