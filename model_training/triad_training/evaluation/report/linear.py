"""How a network does beside linear models, as a report says it: first where they win."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from triad_serving.inference.bundle import BundleManifest
from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.baseline import judged_by
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.metrics import SCORE_NAMES


@dataclass(frozen=True, kw_only=True)
class BesideLinear:
    """One task. linear: a score of theirs by subset of media. gain: of the network over that with all media
    of each row; low, high: its 95 % interval."""

    task: str
    score: str
    linear: Mapping[str, float]
    gain: float
    low: float
    high: float

    @property
    def beaten(self) -> bool:
        """Whether linear models do better."""
        return self.gain < 0

    @property
    def sentence(self) -> str:
        gain, low, high = (f"{100 * value:+.1f}" for value in (self.gain, self.low, self.high))
        if self.gain == 0:
            return f"{self.task}: the answers are those of linear models: the network adds nothing to them."
        verdict = "linear models on the same media do better" if self.beaten else "better than linear models"
        sure = "" if self.low > 0 or self.high < 0 else ", which may be chance"
        return f"{self.task}: {verdict}: {gain} points of {self.score} ({low} to {high}){sure}."


def beside_linear(evaluation: Evaluation) -> list[BesideLinear]:
    """Of each task; nothing where the rows are not those that the linear models were judged on."""
    manifest = evaluation.bundle.manifest
    if not manifest.linear or manifest.metrics.get("test") != evaluation.scores:
        return []
    return list(_compare(manifest, TrainConfig.model_validate(manifest.training)))


def _compare(manifest: BundleManifest, config: TrainConfig) -> Iterator[BesideLinear]:
    for task in manifest.tasks:
        if task.name in manifest.over_linear:
            score = judged_by(task, config.tasks[task.name])
            gain, low, high = manifest.over_linear[task.name]
            yield BesideLinear(
                task=task.name,
                score=SCORE_NAMES.get(score, score),
                linear={
                    subset: scores[task.name][score]
                    for subset, scores in manifest.linear.items()
                    if score in scores.get(task.name, {})
                },
                gain=gain,
                low=low,
                high=high,
            )
