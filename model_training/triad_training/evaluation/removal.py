"""Do the parts that an explanation ranks first matter most? Deletion and insertion curves.

The words, cells and moments of an example, all media's together, are removed step by step in the order that
an explanation gives, and the probability of what was answered is watched; or, from nothing, they are put in.
The better the order, the smaller the area under the first curve and the larger that under the second.
Source: V. Petsiuk, A. Das, K. Saenko, RISE: Randomized input sampling for explanation of black-box models,
BMVC 2018. Here a medium without any part left is absent, so that both curves end at the training prior.

Shape letters: E examples, S steps.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted, media_subsets
from triad_serving.contract.tasks import Task
from triad_serving.explanation.occlusion import hide, parts_of, total
from triad_serving.explanation.shapley import F64, coalition_of, shapley_values
from triad_serving.inference.postprocess import first_answered, probabilities
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.medium import Part
from triad_training.data.dataset import ExampleDataset

Order = Literal["attention", "occlusion", "shapley", "random"]
ORDERS: tuple[Order, ...] = get_args(Order)
SAMPLE = 40  # examples
MOST_S = 25.0  # with pretrained encoders one example takes seconds
MOST_PARTS = 16  # of one medium
SHARES = tuple(step / 10 for step in range(11))  # of the parts
ROWS_PER_RUN = 64
SEED = 0

Hidden: TypeAlias = frozenset[int]  # places of parts


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What one order does: the mean probability of what was answered, by SHARES.

    deletion: with that share of the parts removed, the first of the order first. insertion: with only that
    share there. Their areas are within [0, 1].
    """

    order: Order
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_area: float
    insertion_area: float


@dataclass(frozen=True, kw_only=True)
class Removals:
    """One task. examples: how many the curves are the mean of, of so many rows."""

    examples: int
    rows: int
    shares: tuple[float, ...]
    orders: tuple[Removal, ...]


def measure_removal(
    session: Session,
    dataset: ExampleDataset,
    tasks: Sequence[Task],
    *,
    sample: int = SAMPLE,
    most_s: float = MOST_S,
) -> dict[str, Removals]:
    """By task, on a seeded sample; a regression has no probability to watch, and is left out.

    most_s: after which no further examples are asked; one always is.
    """
    watched = [task for task in tasks if task.type != "regression" and task.prior]
    chosen = np.random.default_rng(SEED).permutation(len(dataset))[:sample].tolist() if watched else []
    found = list[dict[tuple[str, Order], F64]]()
    started = time.monotonic()
    for i in chosen:
        if found and time.monotonic() - started > most_s:
            break
        found.append(_removal_curves(session, dataset[i].inputs, dataset.spec, watched, seed=i))
    return {
        task.name: Removals(
            examples=len(found),
            rows=len(dataset),
            shares=SHARES,
            orders=tuple(
                _mean(order, np.stack([curves[task.name, order] for curves in found])) for order in ORDERS
            ),
        )
        for task in watched
    }


def removal_table(removals: Mapping[str, Removals]) -> str:
    """Markdown: one row per task and order; nothing where nothing was measured."""
    if not removals:
        return ""
    lines = [
        "| task | examples | parts in order of | area under deletion, less is better | insertion, more |",
        "|---|---:|---|---:|---:|",
    ]
    for task, removed in removals.items():
        for each in removed.orders:
            areas = f"{each.deletion_area:.3f} | {each.insertion_area:.3f}"
            lines.append(f"| {task} | {removed.examples} | {each.order} | {areas} |")
    return "\n".join(lines)


def _mean(order: Order, curves_E2S: F64) -> Removal:
    deletion_S, insertion_S = curves_E2S.mean(axis=0)
    return Removal(
        order=order,
        deletion=tuple(deletion_S.tolist()),
        insertion=tuple(insertion_S.tolist()),
        deletion_area=float(np.trapezoid(deletion_S, SHARES)),
        insertion_area=float(np.trapezoid(insertion_S, SHARES)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Example:
    """One example and what is known of it. rows: the answer without each part, None where it is the only one.

    coalitions: the answer to some of the media, by coalition.
    """

    parts: Sequence[Part]
    spec: PreprocessSpec
    whole: ModelOutputs
    rows: Mapping[Hidden, ModelOutputs | None]
    coalitions: Mapping[int, ModelOutputs]

    def value(self, row: ModelOutputs | None, task: Task) -> float:
        """The probability of what was answered from the whole; without any part, the training prior."""
        label = first_answered(probabilities(self.whole.logits_K[task.name], task), task)
        return (
            task.prior[label] if row is None else float(probabilities(row.logits_K[task.name], task)[label])
        )

    def rank(self, order: Order, task: Task, rng: np.random.Generator) -> list[int]:
        """Places of the parts, the most important first; chance decides between equals."""
        match order:
            case "attention":
                weights = self.whole.attention[task.name]
                worth = [total(weights[part.medium], part, self.spec) for part in self.parts]
            case "occlusion":
                worth = [-self.value(self.rows[frozenset([n])], task) for n in range(len(self.parts))]
            case "shapley":
                contributed = self._shapley(task)
                worth = [contributed[part.medium] for part in self.parts]
            case "random":
                worth = [0.0] * len(self.parts)
        chance = rng.permutation(len(self.parts)).tolist()
        return sorted(range(len(self.parts)), key=lambda n: (-worth[n], chance[n]))

    def _shapley(self, task: Task) -> dict[MediumName, float]:
        media = self.spec.media
        values_1S = np.full((1, 1 << len(media)), self.value(None, task))
        present = max(self.coalitions)
        for coalition in range(1 << len(media)):
            if coalition & present:
                values_1S[0, coalition] = self.value(self.coalitions[coalition & present], task)
        return dict(zip(media, shapley_values(values_1S)[0].tolist(), strict=True))


def _removal_curves(
    session: Session, inputs: ModelInputs, spec: PreprocessSpec, tasks: Sequence[Task], *, seed: int
) -> dict[tuple[str, Order], F64]:
    """Deletion and insertion, [2, S], of each task and order. seed: of what chance decides."""
    example = _ask(session, inputs, spec)
    rng = np.random.default_rng((SEED, seed))
    counts = [round(share * len(example.parts)) for share in SHARES]
    steps: dict[tuple[str, Order], list[list[Hidden]]] = {}
    for task, order in itertools.product(tasks, ORDERS):
        rank = example.rank(order, task, rng)
        deletion = [frozenset(rank[:count]) for count in counts]
        insertion = [frozenset(rank[count:]) for count in counts]
        steps[task.name, order] = [deletion, insertion]
    wanted = {hidden for pair in steps.values() for curve in pair for hidden in curve}
    rows = _hide_all(session, inputs, example.parts, spec, sorted(wanted, key=sorted))
    return {
        (task.name, order): np.array(
            [[example.value(rows[hidden], task) for hidden in curve] for curve in steps[task.name, order]]
        )
        for task, order in itertools.product(tasks, ORDERS)
    }


def _ask(session: Session, inputs: ModelInputs, spec: PreprocessSpec) -> _Example:
    parts = parts_of(inputs, spec, most=MOST_PARTS).parts
    subsets = media_subsets(inputs.media)
    answers = _run(session, [inputs.only(*subset) for subset in subsets])
    return _Example(
        parts=parts,
        spec=spec,
        whole=session.run([inputs], Wanted(attention=True))[0],
        rows=_hide_all(session, inputs, parts, spec, [frozenset([n]) for n in range(len(parts))]),
        coalitions={coalition_of(s, spec.media): answer for s, answer in zip(subsets, answers, strict=True)},
    )


def _hide_all(
    session: Session,
    inputs: ModelInputs,
    parts: Sequence[Part],
    spec: PreprocessSpec,
    wanted: Sequence[Hidden],
) -> dict[Hidden, ModelOutputs | None]:
    made: dict[tuple[MediumName, Hidden], ModelInputs] = {}
    left = {hidden: _without(inputs, parts, spec, hidden, made) for hidden in wanted}
    asked = {hidden: rest for hidden, rest in left.items() if rest.media}
    answers = dict(zip(asked, _run(session, list(asked.values())), strict=True))
    return {hidden: answers.get(hidden) for hidden in wanted}


def _without(
    inputs: ModelInputs,
    parts: Sequence[Part],
    spec: PreprocessSpec,
    hidden: Hidden,
    made: dict[tuple[MediumName, Hidden], ModelInputs],
) -> ModelInputs:
    """A medium of which nothing is left is absent. made: what is left of one, encoded once in a run."""
    left = {part.medium for n, part in enumerate(parts) if n not in hidden}
    items = {}
    for medium in left:
        own = frozenset(n for n in hidden if parts[n].medium == medium)
        if (medium, own) not in made:
            made[medium, own] = hide(inputs.only(medium), [parts[n] for n in sorted(own)], spec)
        items[medium] = made[medium, own].of(medium)
    return ModelInputs(**items)


def _run(session: Session, rows: Sequence[ModelInputs]) -> list[ModelOutputs]:
    return [
        outputs
        for start in range(0, len(rows), ROWS_PER_RUN)
        for outputs in session.run(rows[start : start + ROWS_PER_RUN], Wanted())
    ]
