"""A bundle's network made smaller, then fitted again: distilled into a small one, or pruned."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from triad_serving.inference.session import Session
from triad_training.compression.compare import Variant
from triad_training.compression.prune import prune
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset, collate
from triad_training.data.labels import split_targets
from triad_training.evaluation.decision import decide
from triad_training.evaluation.evaluate import BundleTable, with_transcripts
from triad_training.evaluation.metrics import Answers, calibrate
from triad_training.learning.blend import solve_experts
from triad_training.learning.distillation import Teacher, student_config
from triad_training.learning.loop import fit, make_accelerator
from triad_training.learning.objective import Objective
from triad_training.learning.prepare import Prepared, build_model
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity, parity_examples
from triad_training.network.rebuild import rebuild_network

WEIGHED_BATCHES = 32  # of training examples, from which pruning learns what matters
# A pruned network starts from what it knows: shorter and more carefully than the first training.
FITTING_EPOCHS, FITTING_RATE = 0.5, 0.3  # times those of the config


@dataclass(frozen=True, kw_only=True)
class SmallerNetwork:
    """A smaller network, and what it was fitted on. unseen: see Solved; None before it is fitted."""

    table: BundleTable
    model: TriadModel
    prepared: Prepared
    unseen: Answers | None = None

    @property
    def config(self) -> TrainConfig:
        return self.prepared.config


def open_network(table: BundleTable) -> SmallerNetwork:
    """The bundle's network, which teaches every smaller one made of it. Raises BundleError."""
    model = rebuild_network(table.bundle)
    optim = table.config.optim.model_copy(update={"resume": False})
    augment = table.config.augment.without_files()
    config = table.config.model_copy(update={"optim": optim, "augment": augment})
    prepared = Prepared(
        config=config,
        tasks=table.bundle.tasks,
        assets=table.bundle.assets,
        warnings=(),
        train=_training_data(table, config),
        validation=table.dataset(table.split("validation")),
        test=table.dataset(table.split("test")),
        teacher=Teacher(copy.deepcopy(model)),
    )
    return SmallerNetwork(table=table, model=model, prepared=prepared)


def distil(large: SmallerNetwork, config_path: Path, run: Path) -> SmallerNetwork:
    """A network of another config that learns from the labels and from the large one's answers."""
    config = student_config(config_path, large.config)
    prepared = replace(large.prepared, config=config, train=_training_data(large.table, config))
    set_seed(config.optim.seed)
    return _fitted(replace(large, model=build_model(prepared), prepared=prepared), run)


def prune_network(large: SmallerNetwork, fraction: float, run: Path) -> SmallerNetwork:
    """The same network without the units that matter least, taught by what it was."""
    optim = large.config.optim
    set_seed(optim.seed)
    loader = DataLoader(
        large.prepared.train,
        batch_size=optim.batch_size,
        shuffle=True,
        num_workers=optim.workers,
        collate_fn=functools.partial(collate, spec=large.config.spec),
    )
    objective = Objective(large.model.without_experts(), large.config, large.prepared.tasks)
    prune(objective, list(islice(loader, WEIGHED_BATCHES)), fraction)
    epochs, rate = max(round(FITTING_EPOCHS * optim.epochs), 1), FITTING_RATE * optim.learning_rate
    fitting = optim.model_copy(update={"epochs": epochs, "learning_rate": rate})
    config = large.config.model_copy(update={"optim": fitting})
    fitted = _fitted(replace(large, prepared=replace(large.prepared, config=config)), run)
    return replace(fitted, prepared=large.prepared)


def export_network(small: SmallerNetwork, name: str) -> Variant:
    """Its graph, checked against the network, with temperatures and thresholds of its own."""
    prepared, spec = small.prepared, small.config.spec
    graph = export_graph(small.model, spec, prepared.tasks)
    session = Session(graph, spec=spec, tasks=prepared.tasks, device="cpu", threads=torch.get_num_threads())
    check_parity(small.model, session, spec, parity_examples(prepared.validation))
    assert small.unseen is not None
    folder = small.table.bundle.path
    answers = with_transcripts(small.unseen, session, prepared.validation, prepared.tasks, folder)
    tasks = decide(answers, calibrate(answers, prepared.tasks, folder), prepared.config.tasks)
    return Variant(name=name, graph=graph, tasks=tasks)


def _training_data(table: BundleTable, config: TrainConfig) -> ExampleDataset:
    examples, bundle = table.split("train"), table.bundle
    return ExampleDataset(
        examples,
        split_targets(examples, bundle.tasks, config),
        bundle.spec,
        bundle.assets,
        files=table.files,
        augment=config.augment,
        seed=config.optim.seed,
    )


def _fitted(small: SmallerNetwork, run: Path) -> SmallerNetwork:
    model = fit(small.model, small.prepared, make_accelerator(small.config.optim), run)
    return replace(small, model=model, unseen=solve_experts(model, small.prepared).unseen)
