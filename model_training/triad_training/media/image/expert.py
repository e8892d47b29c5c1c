"""What a linear model reads of an image: colours and gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_serving.media.image.spec import ImageSpec
from triad_training.layers.expert import DenseExpert, Look
from triad_training.media.image.statistics import ImageStatistics


class ImageExpert(DenseExpert):
    """Its features are of known places in the image."""

    def __init__(self, spec: ImageSpec, tasks: Sequence[Task]) -> None:
        statistics = ImageStatistics(spec)
        super().__init__(tasks, sum(statistics.blocks), statistics.blocks)
        self.statistics = statistics

    def describe(self, look: Look) -> Tensor:
        features_NF: Tensor = self.statistics(*look.inputs)
        return features_NF

    def place(self, features_NF: Tensor, look: Look, weight_NFT: Tensor) -> Tensor:  # noqa: ARG002
        said_NFT = (features_NF[:, :, None] * weight_NFT).abs()
        return F.conv1d(said_NFT, self.statistics.cells_FC.T[:, :, None])  # for no items, too
