"""What a linear model reads of an image: colours and gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_serving.media.image.spec import ImageSpec
from triad_training.layers.expert import DenseExpert
from triad_training.media.image.statistics import ImageStatistics


class ImageExpert(DenseExpert):
    """Its features are of known places in the image."""

    def __init__(self, spec: ImageSpec, tasks: Sequence[Task]) -> None:
        statistics = ImageStatistics(spec)
        super().__init__(tasks, sum(statistics.blocks), statistics.blocks)
        self.statistics = statistics

    def describe(self, inputs: Sequence[Tensor], hidden_NPH: Tensor, mask_NP: Tensor) -> Tensor:
        features_NF: Tensor = self.statistics(*inputs)
        return features_NF

    def place(
        self, features_NF: Tensor, hidden_NPH: Tensor, mask_NP: Tensor, weight_NFT: Tensor
    ) -> Tensor:
        said_NFT = (features_NF[:, :, None] * weight_NFT).abs()
        return F.conv1d(said_NFT, self.statistics.cells_FC.T[:, :, None])  # for no items, too
