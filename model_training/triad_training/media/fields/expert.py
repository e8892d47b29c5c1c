"""What a linear model reads of a record: its numbers, its categories, and which of them are missing.

Shape letters: N records, F numbers, G categories, P fields.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_serving.media.fields.spec import FieldsSpec
from triad_training.layers.expert import DenseExpert, Look


class FieldsExpert(DenseExpert):
    """Numbers by their place between the training's low and high; a missing one is the median."""

    def __init__(self, spec: FieldsSpec, tasks: Sequence[Task]) -> None:
        self.numeric, self.sizes = len(spec.numeric), [2 + len(each.categories) for each in spec.categorical]
        fields = [*range(self.numeric)] * 2
        for place, size in enumerate(self.sizes, start=self.numeric):
            fields += [place] * size
        super().__init__(tasks, len(fields))
        low, median, high = (
            torch.tensor([getattr(each, name) for each in spec.numeric]) for name in ("low", "median", "high")
        )
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("median", median, persistent=False)
        self.register_buffer("high", high, persistent=False)
        width = torch.where(high > low, high - low, 1.0)
        self.register_buffer("width", width, persistent=False)
        field_FP = F.one_hot(torch.tensor(fields), len(spec.names)).float()
        self.register_buffer("field_FP", field_FP, persistent=False)
        self.low: Tensor
        self.median: Tensor
        self.high: Tensor
        self.width: Tensor
        self.field_FP: Tensor

    def describe(self, look: Look) -> Tensor:
        rest, parts = list(look.inputs), []
        if self.numeric:
            numbers_NF = rest.pop(0)
            missing_NF = torch.isnan(numbers_NF)
            known_NF = torch.where(missing_NF, self.median, numbers_NF)
            within_NF = torch.clamp(known_NF, self.low, self.high) - self.low
            parts += [within_NF / self.width, missing_NF.to(numbers_NF.dtype)]
        if self.sizes:
            ids_NG = rest.pop(0)
            kinds = [torch.arange(size, device=ids_NG.device) for size in self.sizes]
            parts += [(ids_NG[:, g, None] == kind).float() for g, kind in enumerate(kinds)]
        return torch.cat(parts, dim=1)

    def place(self, features_NF: Tensor, look: Look, weight_NFT: Tensor) -> Tensor:  # noqa: ARG002
        said_NFT = (features_NF[:, :, None] * weight_NFT).abs()
        return F.conv1d(said_NFT, self.field_FP.T[:, :, None])  # for no items, too
