"""Contrast: what belongs together lies near each other in the shared space, all else apart.

Shape letters: B rows of all processes, M media, E numbers of a vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.tasks import Task
from triad_training.config.train_config import ContrastLoss
from triad_training.layers import distributed
from triad_training.network.embedding import Embedded

STEEPEST = math.log(100.0)  # of the scale: Radford et al. 2021, section 2.5


class View(NamedTuple):
    """Two sides of each row that shall find each other; rows_B: those that have both.

    same_BB: pairs of rows that are no opposites, as they show the same.
    """

    one_BE: Tensor
    other_BE: Tensor
    rows_B: Tensor
    same_BB: Tensor


class Contrast(nn.Module):
    """The mean loss over every pair of media (Girdhar et al. 2023, ImageBind) and, of three or more, over
    each medium against what the others are together.

    softmax: each row's partner is to be found among all of the batch, by a learned temperature (InfoNCE, as
    in Radford et al. 2021, arXiv:2103.00020). sigmoid: each pair of rows is one yes or no question (Zhai et
    al. 2023, SigLIP, arXiv:2303.15343, algorithm 1).
    Rows with the same item of a medium, or with the same labels, do not count as opposites.
    """

    def __init__(self, kind: ContrastLoss, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.kind = kind
        self.tasks = [task.name for task in tasks if task.type in ("classification", "multilabel")]
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07 if kind == "softmax" else 10.0)))
        if kind == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(self, embedded: Embedded, items_BM: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Of this process's rows, and of all others with them.

        items_BM: which of the distinct items of each medium a row has, -1 for none. targets: by task.
        """
        everything = Embedded(*map(distributed.gather, embedded))
        items_BM = distributed.gather(items_BM)
        alike_BB = same_labels([distributed.gather(targets[name]) for name in self.tasks], len(items_BM))
        losses = [
            self._loss(view) for view in views(everything, items_BM, alike_BB) if int(view.rows_B.sum()) > 1
        ]
        return torch.stack(losses).mean() if losses else embedded.vectors_BME.sum() * 0

    def _loss(self, view: View) -> Tensor:
        chosen = view.rows_B.nonzero()[:, 0]
        logits_BB = self.log_scale.clamp(max=STEEPEST).exp() * (view.one_BE[chosen] @ view.other_BE[chosen].T)
        own_BB = torch.eye(len(chosen), dtype=torch.bool, device=chosen.device)
        ignored_BB = view.same_BB[chosen][:, chosen] & ~own_BB
        if self.kind == "sigmoid":
            signs_BB = 2 * own_BB.to(logits_BB.dtype) - 1
            losses_BB = F.softplus(-signs_BB * (logits_BB + self.bias))
            return losses_BB.masked_fill(ignored_BB, 0).sum() / len(chosen)
        logits_BB = logits_BB.masked_fill(ignored_BB, -torch.inf)
        found_B = torch.arange(len(chosen), device=chosen.device)
        return (F.cross_entropy(logits_BB, found_B) + F.cross_entropy(logits_BB.T, found_B)) / 2


def views(embedded: Embedded, items_BM: Tensor, alike_BB: Tensor) -> Iterator[View]:
    """alike_BB: pairs of rows with the same labels."""
    present_BM = items_BM >= 0
    same_MBB = (items_BM.T[:, :, None] == items_BM.T[:, None, :]) & present_BM.T[:, :, None]
    media = range(items_BM.shape[1])
    for one in media:
        for other in range(one + 1, len(media)):
            yield View(
                embedded.vectors_BME[:, one],
                embedded.vectors_BME[:, other],
                present_BM[:, one] & present_BM[:, other],
                same_MBB[one] | same_MBB[other] | alike_BB,
            )
    if len(media) < 3:
        return
    for one in media:
        others = [other for other in media if other != one]
        rows_B = present_BM[:, one] & (present_BM[:, others].sum(1) > 1)
        yield View(
            embedded.vectors_BME[:, one], embedded.of(others).fuse(), rows_B, same_MBB.any(0) | alike_BB
        )


def same_labels(targets: Sequence[Tensor], rows: int) -> Tensor:
    """[B, B]: pairs that are labelled alike for every task that both are labelled for, and for one at least.

    targets: of each task, [B] or [B, K], NaN where unlabelled.
    """
    device = targets[0].device if targets else None
    alike_BB = torch.ones(rows, rows, dtype=torch.bool, device=device)
    shared_BB = torch.zeros_like(alike_BB)
    for target in targets:
        labels_BK = target.reshape(rows, -1)
        known_B = ~labels_BK.isnan().any(1)
        both_BB = known_B[:, None] & known_B
        alike_BB &= ~both_BB | (labels_BK[:, None] == labels_BK).all(2)
        shared_BB |= both_BB
    return alike_BB & shared_BB
