"""What a linear model reads of a sound."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from triad_serving.contract.tasks import Task
from triad_serving.media.audio.spec import AudioSpec
from triad_training.layers.expert import DenseExpert, Look
from triad_training.media.audio.statistics import SoundStatistics


class AudioExpert(DenseExpert):
    """Its features are of the whole sound: no moment of it is known to have said more than others."""

    def __init__(self, spec: AudioSpec, tasks: Sequence[Task]) -> None:
        statistics = SoundStatistics(spec)
        super().__init__(tasks, statistics.size)
        self.statistics = statistics

    def describe(self, look: Look) -> Tensor:
        features_NF: Tensor = self.statistics(*look.inputs)
        return features_NF

    def place(self, features_NF: Tensor, look: Look, weight_NFT: Tensor) -> Tensor:
        valid_NP1 = look.mask_NP[:, :, None].to(features_NF.dtype)
        return valid_NP1.expand(-1, -1, weight_NFT.shape[2])
