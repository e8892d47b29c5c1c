"""Tasks: the questions that a model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskType = Literal["classification", "multilabel", "regression"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question the model answers. labels: empty for a regression; temperature divides the logits.

    prior: mean target on the training split, one value per output: a class's share, a tag's share, a mean.
    """

    name: str
    type: TaskType
    labels: tuple[str, ...] = ()
    prior: tuple[float, ...] = ()
    temperature: float = 1.0

    @property
    def outputs(self) -> int:
        return 1 if self.type == "regression" else len(self.labels)
