"""Rows of a table scored by the machines of a Ray cluster, through Ray Data."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from triad_serving.cluster.replicas import missing_ray, with_absolute_paths
from triad_serving.contract.errors import SetupError
from triad_serving.contract.rows import Row
from triad_serving.engine.engine import Engine
from triad_serving.scoring.score import AHEAD, Record, RowScorer
from triad_serving.settings import Settings

BATCH_ROWS = 64  # that go to an engine together, whose own batches are of those


@dataclass(frozen=True, kw_only=True)
class Pool:
    """How many engines score, and what each gets of its machine: cores, and a share of a GPU."""

    engines: int
    cpus: float = 1
    gpus: float = 0


def score_with_ray(
    scorer: RowScorer, rows: Sequence[Row], *, settings: Settings, pool: Pool
) -> Iterator[Record]:
    """In the rows' order. Engines open `settings.models`, and files are read, on whichever machine.

    On the cluster that RAY_ADDRESS names or this machine is part of, else on one that is started here.
    Raises SetupError where Ray is missing or an engine does not start.
    """
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise missing_ray(error) from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    scorer = replace(scorer, folder=scorer.folder.absolute())
    scored = ray.data.from_items([{"row": json.dumps(row)} for row in rows]).map_batches(
        RowScorers,
        fn_constructor_args=(scorer, with_absolute_paths(settings), math.ceil(pool.cpus)),
        batch_size=BATCH_ROWS,
        compute=ray.data.ActorPoolStrategy(size=pool.engines),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    try:
        for each in scored.iter_rows():
            yield json.loads(each["record"])
    except ray.exceptions.RayError as error:
        raise SetupError(f"Ray did not score the rows: {error}") from error


class RowScorers:
    """One engine of the pool, in a process of its own."""

    def __init__(self, scorer: RowScorer, settings: Settings, threads: int) -> None:
        settings = settings.model_copy(update={"threads": threads})
        self._engine = Engine.open(settings.models, settings).__enter__()  # until Ray ends the process
        self._score = functools.partial(scorer.score, self._engine)
        self._ahead = ThreadPoolExecutor(min(AHEAD * threads, settings.max_queue))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Both ways as JSON: columns of a batch would have to agree in type with those of every other."""
        rows = [(line, cells) for line, cells in map(json.loads, batch["row"])]
        records = self._ahead.map(self._score, rows)
        return {"record": [json.dumps(record) for record in records]}
