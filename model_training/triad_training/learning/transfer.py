"""Transfer: a new model starts from the weights of a bundle, wherever the two fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import BundleError, ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import WEIGHTS_FILE, Bundle
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.medium import Assets
from triad_training.media.medium import Reading
from triad_training.media.registry import by_name
from triad_training.network.head import BELIEFS

REPORT_FILE = "transfer.txt"

Readings: TypeAlias = tuple[PreprocessSpec, Assets]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How many numbers of each part of the model came from the bundle, began anew, or found no place."""

    source: str
    taken: Mapping[str, int]
    fresh: Mapping[str, int]
    unused: Mapping[str, int]

    def table(self) -> str:
        """Plain text, one line per part."""
        parts = list(dict.fromkeys([*self.taken, *self.fresh, *self.unused]))
        width = max(len(part) for part in parts)
        lines = [f"weights from {self.source}", f"{'':{width}}  {'taken':>12}{'fresh':>12}{'unused':>12}"]
        for part in parts:
            counts = (column.get(part, 0) for column in (self.taken, self.fresh, self.unused))
            lines.append(f"{part:{width}}  " + "".join(f"{count or '-':>12}" for count in counts))
        return "\n".join(lines)

    def report(self, run: Path) -> None:
        """Shows the table, and leaves it beside the checkpoint."""
        Console(stderr=True).print(self.table(), highlight=False)
        with writing(run / REPORT_FILE):
            run.mkdir(parents=True, exist_ok=True)
            (run / REPORT_FILE).write_text(self.table() + "\n", encoding="utf-8")


def transfer_weights(
    model: nn.Module,
    spec: PreprocessSpec,
    assets: Assets,
    tasks: Sequence[Task],
    bundle: Bundle,
    *,
    whole: bool = False,
) -> Transfer:
    """Copies into `model` every array of the bundle whose name and shape match.

    A medium may know better what fits (words do by name, because vocabularies differ); a task's head stays
    fresh where the task's type or labels differ: its outputs would mean other things. So do linear experts,
    which are solved for, and how far heads believe them and the network: all of it is this table's.
    Raises BundleError where the bundle has no weights, ConfigError where none of them fits; whole: where any
    finds no place, or begins anew.
    """
    if bundle.weights_path is None:
        raise BundleError(f"Bundle {bundle.path} holds no {WEIGHTS_FILE} to start from; train it anew.")
    saved, changed = load_file(bundle.weights_path), _changed_tasks(tasks, bundle.tasks)
    taken, fresh, unused = Counter[str](), Counter[str](), Counter[str]()
    unlike = set[str]()
    state = model.state_dict()
    for name, target in state.items():
        count = 0
        if name in saved and not _is_head_of(changed, name) and not _is_solved_for(name):
            count = _copy(name, saved[name], target, (spec, assets), (bundle.spec, bundle.assets))
        taken[_part(name)] += count
        fresh[_part(name)] += target.numel() - count
        if name in saved:
            unused[_part(name)] += saved[name].numel() - count
        if not (name in saved and count == target.numel() == saved[name].numel()) and not _is_solved_for(
            name
        ):
            unlike.add(_part(name))
    for name in saved.keys() - state.keys():
        unused[_part(name)] += saved[name].numel()
        unlike |= set() if _is_solved_for(name) else {_part(name)}
    if not taken.total():
        raise ConfigError(
            f"transfer.bundle: no weight of {bundle.path} fits this model; is its width the same?"
        )
    if whole and unlike:
        raise ConfigError(
            f"transfer.whole: {bundle.path} and this model differ in {', '.join(sorted(unlike))}; make its "
            "tasks, labels, preprocess and model the bundle's, or leave whole out to take what fits."
        )
    manifest = bundle.manifest
    return Transfer(source=f"{manifest.name} {manifest.version}", taken=taken, fresh=fresh, unused=unused)


@torch.no_grad()
def _copy(name: str, source: Tensor, target: Tensor, new: Readings, old: Readings) -> int:
    """How many numbers of `target` were set."""
    top, _, rest = name.partition(".")
    if top == "encoders":
        medium, _, parameter = rest.partition(".")
        readings = (Reading(spec.of(medium), assets.get(medium)) for spec, assets in (new, old))
        count = by_name(medium).transfer(parameter, source, target, *readings)
        if count is not None:
            return count
    if source.shape != target.shape:
        return 0
    target.copy_(source)
    return target.numel()


def _changed_tasks(new: Sequence[Task], old: Sequence[Task]) -> set[str]:
    """Tasks of both models that do not answer alike."""
    before = {task.name: (task.type, task.labels) for task in old}
    return {task.name for task in new if before.get(task.name) != (task.type, task.labels)}


def _is_head_of(tasks: set[str], name: str) -> bool:
    """Whether it says what the task's outputs are; how a transcript listens has nothing to do with them."""
    top, *rest = name.split(".")
    if top == "transcript_heads" and "symbols" not in rest:
        return False
    return top.endswith("heads") and not tasks.isdisjoint(rest)


def _is_solved_for(name: str) -> bool:
    return name.startswith("experts.") or name.rpartition(".")[2] in BELIEFS


def _part(name: str) -> str:
    """encoders.text, heads.digit, ...; fusion as a whole."""
    top, second, *rest = [*name.split("."), ""]
    return f"{top}.{second}" if rest and top != "fusion" else top
