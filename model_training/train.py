"""`triad train`: a table of examples becomes a bundle. Read `train_bundle` top to bottom, then `fit`."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs, set_seed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from model_training.card import model_card
from model_training.config import AugmentConfig, OptimConfig, TrainConfig, load_config
from model_training.dataset import ExampleDataset, LabelledInputs, build_vocabulary, collate
from model_training.evaluate import answer_split, split_targets
from model_training.export import check_parity, export_graph
from model_training.history import EpochRecord, Stopwatch, read_history, write_history
from model_training.manifest import Split, read_table
from model_training.media import ignore_ctrl_c
from model_training.metrics import BatchAnswers, answer_subsets, calibrate, mean_score, score_subsets
from model_training.model import TriadModel
from model_training.objective import Objective
from model_training.optimizer import parameter_groups, warmup_cosine
from model_training.transfer import transfer_weights
from service.bundle import (
    CARD_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    Bundle,
    BundleManifest,
    read_bundle,
    write_bundle,
)
from service.contract import MEDIA, ModelInputs, Task
from service.errors import BundleError, ConfigError
from service.preprocess.lexicon import Lexicon, WordLexicon
from service.session import Session, pack_batch

RUNS = Path("runs")  # checkpoints: runs/<name>-<version>/
BEST_FILE = "best.safetensors"
PARITY_EXAMPLES = 8  # of each medium
VALIDATION_BATCH = 32  # times the subsets of media
LOSS_EVERY = 20  # steps between looks at the loss, each of which waits for the GPU


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Everything that a run makes of its config and table before the first step."""

    config: TrainConfig
    tasks: tuple[Task, ...]
    lexicon: Lexicon | None
    train: ExampleDataset
    validation: ExampleDataset
    test: ExampleDataset


@dataclass
class RunState:
    """What a checkpoint holds beside weights, optimiser, schedule and random states. Epochs count from 1."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf

    def take(self, score: float) -> bool:
        """Ends an epoch; whether it is the best so far."""
        self.epoch += 1
        better = score > self.best_score
        if better:
            self.best_epoch, self.best_score = self.epoch, score
        return better

    def state_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def train_bundle(config_path: Path, *, out: Path | None = None, overrides: Sequence[str] = ()) -> Bundle:
    """Trains, exports, calibrates and evaluates; writes out/<name>/<version> (out: models).

    Ctrl-C leaves a checkpoint under runs/ that `--set optim.resume=true` goes on from.
    Raises ConfigError, TableError, BundleError where the bundle exists, ExportError on drift.
    """
    config = load_config(config_path, overrides)
    destination = (out or Path("models")) / config.name / config.version
    if destination.exists():
        raise BundleError(f"{destination} exists; give the config another version.")
    set_seed(config.optim.seed)
    prepared = prepare(config)
    model = build_model(prepared)
    accelerator = make_accelerator(config.optim)
    run = RUNS / f"{config.name}-{config.version}"
    if config.transfer.bundle is not None and not config.optim.resume:
        bundle = read_bundle(config.transfer.bundle)
        transfer = transfer_weights(model, prepared.lexicon, prepared.tasks, bundle)
        if accelerator.is_main_process:
            transfer.report(run)
    model = fit(model, prepared, accelerator, run)
    if accelerator.is_main_process:
        finish(model, prepared, destination)
    accelerator.wait_for_everyone()
    return read_bundle(destination)


def prepare(config: TrainConfig) -> Prepared:
    """Reads and checks the table, builds the lexicon."""
    table = read_table(config)
    lexicon: Lexicon | None = None
    if config.spec.text is not None:
        vocabulary = build_vocabulary(table.split("train"), min_count=config.model.min_word_count)
        lexicon = WordLexicon(vocabulary=vocabulary)

    def dataset(split: Split, augment: AugmentConfig | None = None) -> ExampleDataset:
        examples = table.split(split)
        labels = split_targets(examples, table.tasks, config)
        return ExampleDataset(
            examples,
            labels,
            config.spec,
            lexicon,
            media=table.media,
            augment=augment,
            seed=config.optim.seed,
        )

    return Prepared(
        config=config,
        tasks=table.tasks,
        lexicon=lexicon,
        train=dataset("train", config.augment),
        validation=dataset("validation"),
        test=dataset("test"),
    )


def make_accelerator(optim: OptimConfig) -> Accelerator:
    """Devices and processes as `accelerate launch` or torchrun set them; one CPU or GPU without."""
    return Accelerator(
        cpu=not torch.accelerator.is_available(),  # otherwise processes on CPUs do not find each other
        mixed_precision=optim.mixed_precision,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
        # A batch in which nobody has an image leaves that encoder's weights without gradients.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def build_model(prepared: Prepared) -> TriadModel:
    words = prepared.lexicon.size if prepared.lexicon else 0
    model = TriadModel(prepared.config.model, prepared.config.spec, prepared.tasks, words=words)
    for task in prepared.tasks:
        if task.type == "regression":
            labels = prepared.train.targets[task.name]
            model.head(task.name).set_unit(float(np.nanmean(labels)), float(np.nanstd(labels)) or 1.0)
    return model


def fit(model: TriadModel, prepared: Prepared, accelerator: Accelerator, run: Path) -> TriadModel:
    """The loop. Returns the model with the weights of its best epoch.

    run/checkpoint holds the last finished epoch, whatever ends the process: a resumed run repeats the one
    it was in and ends with the weights of a run that was left alone.
    """
    optim, console = prepared.config.optim, Console(stderr=True)
    optimizer = torch.optim.AdamW(parameter_groups(model, optim), lr=optim.learning_rate)
    objective, optimizer, loader = accelerator.prepare(
        Objective(model, prepared.config, prepared.tasks), optimizer, _train_loader(prepared)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer.optimizer, functools.partial(warmup_cosine, steps=optim.epochs * len(loader), optim=optim)
    )
    state = RunState()
    accelerator.register_for_checkpointing(schedule, state)
    if optim.resume:
        if not (run / "checkpoint").is_dir():
            raise ConfigError(f"optim.resume: there is no {run}/checkpoint to go on from.")
        accelerator.load_state(str(run / "checkpoint"))
        history = list(read_history(run))[: state.epoch]
    else:
        _save_checkpoint(accelerator, run)
        history = []

    try:
        for epoch in range(state.epoch, optim.epochs):
            prepared.train.epoch = epoch
            loader.set_epoch(epoch)
            objective.train()
            watch = Stopwatch()
            losses: list[Tensor] = []
            for batch in _with_progress(
                loader, watch, losses, state, console=console, accelerator=accelerator
            ):
                loss = objective(batch["inputs"], batch["targets"])
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(objective.parameters(), optim.clip_norm)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                losses.append(loss.detach())

            mean_loss = mean_of(losses, epoch)
            score = validate(model, prepared, accelerator.device)
            better = state.take(score)
            history.append(
                EpochRecord(
                    epoch=state.epoch,
                    loss=mean_loss,
                    validation=score,
                    learning_rate=float(schedule.get_last_lr()[0]),
                    seconds=watch.seconds,
                    data_share=watch.data_share,
                )
            )
            if accelerator.is_main_process:
                mark = "  best" if better else ""
                console.print(
                    f"epoch {state.epoch}/{optim.epochs}  loss {mean_loss:.4f}  validation {score:.4f}"
                    f"  {watch.seconds:.0f} s, {watch.data_share:.0%} waiting for data{mark}"
                )
                write_history(run, history)
                if better:
                    save_file(model.state_dict(), run / BEST_FILE)
            _save_checkpoint(accelerator, run)
            if state.epoch - state.best_epoch >= optim.patience:
                break
    except KeyboardInterrupt:
        console.print(f"stopped; {run}/checkpoint has {state.epoch} epochs: --set optim.resume=true goes on")
        raise
    accelerator.wait_for_everyone()
    model.load_state_dict(load_file(run / BEST_FILE))
    return model


def mean_of(losses: Sequence[Tensor], epoch: int) -> float:
    """Raises ConfigError where it is not finite: such weights are of no use."""
    mean = float(torch.stack(list(losses)).mean())
    if not math.isfinite(mean):
        raise ConfigError(f"The loss is {mean} in epoch {epoch + 1}; lower optim.learning_rate.")
    return mean


def _save_checkpoint(accelerator: Accelerator, run: Path) -> None:
    """Whole or not at all: a kill in the middle leaves the one before."""
    accelerator.wait_for_everyone()
    partial, checkpoint = run / "checkpoint.partial", run / "checkpoint"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(checkpoint, ignore_errors=True)
        partial.rename(checkpoint)


def validate(model: TriadModel, prepared: Prepared, device: torch.device) -> float:
    """Mean score over all subsets of media. Every process computes all of it, so that all decide alike."""
    answers = answer_subsets(
        _torch_runner(model, prepared, device), _validation_loader(prepared), prepared.tasks
    )
    return mean_score(score_subsets(answers, prepared.tasks), prepared.tasks)


def finish(model: TriadModel, prepared: Prepared, destination: Path) -> None:
    """Exports, compares, calibrates on validation, scores validation and test, writes the bundle."""
    config, spec = prepared.config, prepared.config.spec
    graph = export_graph(model, spec, prepared.tasks)
    session = Session(graph, spec=spec, tasks=prepared.tasks, device="cpu", threads=torch.get_num_threads())
    drift = check_parity(model, session, spec, parity_examples(prepared.validation))
    validation = answer_split(session, prepared.validation, prepared.tasks)
    tasks = calibrate(validation, prepared.tasks)
    test = answer_split(session, prepared.test, tasks)
    manifest = BundleManifest(
        name=config.name,
        version=config.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        description=config.description,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        preprocess=spec,
        tasks=tasks,
        metrics={"validation": score_subsets(validation, tasks), "test": score_subsets(test, tasks)},
        provenance=config.provenance,
        training=config.portable(),
    )
    files = {
        MODEL_FILE: graph,
        WEIGHTS_FILE: save(model.state_dict()),
        CARD_FILE: model_card(manifest, drift=drift).encode(),
    }
    if prepared.lexicon is not None:
        files |= prepared.lexicon.files()
    write_bundle(destination, manifest, files)


def parity_examples(dataset: ExampleDataset) -> list[ModelInputs]:
    """The first few examples of each medium."""
    chosen: set[int] = set()
    for medium in dataset.spec.media:
        having = (i for i, example in enumerate(dataset.examples) if medium in example.media)
        chosen.update(itertools.islice(having, PARITY_EXAMPLES))
    return [dataset[i].inputs for i in sorted(chosen)]


def _train_loader(prepared: Prepared) -> DataLoader[LabelledInputs]:
    optim = prepared.config.optim
    return DataLoader(
        prepared.train,
        batch_size=optim.batch_size,
        shuffle=True,
        num_workers=optim.workers,
        collate_fn=functools.partial(collate, spec=prepared.config.spec),
        worker_init_fn=ignore_ctrl_c,
    )


def _validation_loader(prepared: Prepared) -> DataLoader[LabelledInputs]:
    return DataLoader(
        prepared.validation,
        batch_size=VALIDATION_BATCH,
        num_workers=prepared.config.optim.workers,
        collate_fn=list,
        worker_init_fn=ignore_ctrl_c,
    )


def _torch_runner(
    model: TriadModel, prepared: Prepared, device: torch.device
) -> Callable[[list[ModelInputs]], BatchAnswers]:
    model.eval()
    names = [task.name for task in prepared.tasks]

    @torch.inference_mode()
    def run(batch: list[ModelInputs]) -> BatchAnswers:
        packed = pack_batch(batch, prepared.config.spec)
        outputs = model({name: torch.from_numpy(array).to(device) for name, array in packed.items()})
        absent_B = torch.zeros(len(batch), 1, device=device)
        shares = {
            name: [outputs.get(f"attention.{name}.{medium}", absent_B).float().sum(1) for medium in MEDIA]
            for name in names
        }
        return BatchAnswers(
            logits={name: outputs[f"logits.{name}"].float().cpu().numpy() for name in names},
            attention={name: torch.stack(parts, dim=1).cpu().numpy() for name, parts in shares.items()},
        )

    return run


def _with_progress(
    loader: Any,
    watch: Stopwatch,
    losses: Sequence[Tensor],
    state: RunState,
    *,
    console: Console,
    accelerator: Accelerator,
) -> Iterator[dict[str, dict[str, Tensor]]]:
    """The batches of an epoch under a bar that shows the loss so far and the best validation score."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    best = f"  best validation {state.best_score:.4f}" if state.best_epoch else ""
    with Progress(*columns, console=console, transient=True, disable=not accelerator.is_main_process) as bar:
        shown = bar.add_task("", total=len(loader))
        for step, batch in enumerate(watch.watch(loader)):
            if step % LOSS_EVERY == 0:
                loss = f"  loss {torch.stack(list(losses[-LOSS_EVERY:])).mean():.4f}" if losses else ""
                bar.update(shown, description=f"epoch {state.epoch + 1}{loss}{best}")
            yield batch
            bar.advance(shown)
