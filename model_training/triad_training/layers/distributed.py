"""Several processes train as one would on all of their rows: what is summed over a batch is summed over all.

Torch's own parts do not fit: SyncBatchNorm refuses CPUs, and DistributedDataParallel takes the mean of means
that are not of equally many rows. In a single process nothing here communicates.

Shape letters: N items, B rows of this process, W processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.utils.data import Sampler

from triad_serving.contract.errors import ConfigError

POOL = 16  # steps whose rows are put in order of their sizes together


def process_count() -> int:
    return distributed.get_world_size() if _is_one_of_several() else 1


def process_index() -> int:
    return distributed.get_rank() if _is_one_of_several() else 0


def _is_one_of_several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


class Batches(Sampler[list[int]]):
    """The rows of each step of an epoch that this process reads, in an order drawn by seed and epoch.

    The steps of an epoch read each row once; their sizes differ by one at most.
    """

    def __init__(
        self, data: Sized, *, batch_size: int, seed: int, sizes: Sequence[int] | None = None
    ) -> None:
        """batch_size: most rows of a step, of all processes together. sizes: of the rows; those of a step are
        then alike, so that little is padded.

        Raises ConfigError where a process would have nothing to read.
        """
        self.rows = len(data)
        self.steps = -(-self.rows // batch_size)
        self.seed = seed
        self.sizes = None if sizes is None else np.asarray(sizes)
        self.epoch = 0
        if self.rows // self.steps < process_count():
            raise ConfigError(
                f"optim.batch_size: a step has {self.rows // self.steps} rows, too few for "
                f"{process_count()} processes."
            )

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(self.rows)
        steps = np.array_split(order, self.steps)
        if self.sizes is not None:
            pools = np.array_split(order, -(-self.steps // POOL))
            alike = np.concatenate([pool[np.argsort(self.sizes[pool], kind="stable")] for pool in pools])
            steps = [np.array_split(alike, self.steps)[n] for n in rng.permutation(self.steps)]
        for step in steps:
            yield step[process_index() :: process_count()].tolist()


class _Sum(torch.autograd.Function):
    """Of a tensor over all processes; so is the gradient, as every process's loss depends on every part."""

    @staticmethod
    def forward(_: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return total(gradient.contiguous())


def total(part: Tensor) -> Tensor:
    """Sum over all processes, each with its part; gradients flow."""
    if process_count() == 1:
        return part
    whole: Tensor = _Sum.apply(part)  # type: ignore[no-untyped-call]
    return whole


def mean(values: Tensor) -> Tensor:
    """Of the values of all processes, as many as each has: this process's share of it, times their number.

    So the mean over the processes, of these as of their gradients, is that of all values. 0 of none.
    """
    count = total(values.new_tensor(values.numel(), dtype=torch.float32))
    return values.sum() * process_count() / count.clamp(min=1)


def gather(part: Tensor) -> Tensor:
    """The rows of all processes, each with its own, in the order of the processes; gradients flow."""
    if process_count() == 1:
        return part
    counts_W = torch.zeros(process_count(), dtype=torch.int64, device=part.device)
    counts_W[process_index()] = len(part)
    distributed.all_reduce(counts_W)
    before = int(counts_W[: process_index()].sum())
    after = int(counts_W.sum()) - before - len(part)
    padding = [part.new_zeros(rows, *part.shape[1:]) for rows in (before, after)]
    return total(torch.cat([padding[0], part, padding[1]]))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over all processes; one that nobody has stays absent."""
    if process_count() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in trained]
    present = torch.tensor([float(p.grad is not None) for p in trained], device=trained[0].device)
    flat = torch.cat([present, *(gradient.flatten() for gradient in gradients)])
    distributed.all_reduce(flat)
    present, *averaged = torch.split(flat, [len(trained), *(p.numel() for p in trained)])
    for parameter, found, gradient in zip(trained, present.tolist(), averaged, strict=True):
        if found:
            parameter.grad = gradient.view_as(parameter) / process_count()


def pad_alike(inputs: Mapping[str, Tensor], names: Iterable[str]) -> Mapping[str, Tensor]:
    """The named inputs, [N, length], as long as the longest of all processes: statistics count padding."""
    if process_count() == 1:
        return inputs
    padded = dict(inputs)
    for name in names:
        if name in inputs:
            longest = torch.tensor(inputs[name].shape[1], device=inputs[name].device)
            distributed.all_reduce(longest, distributed.ReduceOp.MAX)
            padded[name] = F.pad(inputs[name], (0, int(longest) - inputs[name].shape[1]))
    return padded


def first_of_all(flags_B: Tensor, share: float) -> Tensor:
    """Where this process's flags are set that are among the first of all, [E].

    At most `share` of all rows, but at least one, in the order that Batches dealt them out.
    """
    most = max(len(flags_B), 1)
    if process_count() > 1:
        rows = torch.tensor(len(flags_B), device=flags_B.device)
        distributed.all_reduce(rows, distributed.ReduceOp.MAX)
        most = int(rows)
    # -1: no row there, in the last of the rounds.
    dealt_B = F.pad(flags_B.to(torch.int8), (0, most - len(flags_B)), value=-1)
    dealt_WB = dealt_B[None]
    if process_count() > 1:
        parts = [torch.empty_like(dealt_B) for _ in range(process_count())]
        distributed.all_gather(parts, dealt_B)
        dealt_WB = torch.stack(parts)
    wanted = max(1, round(share * int((dealt_WB >= 0).sum())))
    set_BW = dealt_WB.T == 1
    chosen_BW = set_BW & (set_BW.flatten().cumsum(0).view_as(set_BW) <= wanted)
    return chosen_BW[: len(flags_B), process_index()].nonzero()[:, 0]
