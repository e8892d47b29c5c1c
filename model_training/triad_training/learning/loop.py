"""The training loop. Read `fit` top to bottom.

run/checkpoint holds the last finished epoch, whatever ends the process: a resumed run repeats the one it was
in and ends with the weights of a run that was left alone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, send_to_device, set_seed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from triad_serving.contract.arrays import F32
from triad_serving.contract.disk import writing
from triad_serving.contract.errors import ConfigError
from triad_serving.inference.packing import pack_batch
from triad_serving.media.example import ModelInputs
from triad_training.config.train_config import OptimConfig
from triad_training.data.dataset import LabelledInputs, collate
from triad_training.data.files import ignore_ctrl_c
from triad_training.data.labels import is_labelled
from triad_training.evaluation.history import EpochRecord, Stopwatch, read_history, write_history
from triad_training.evaluation.metrics import BatchAnswers, answer_subsets, mean_score
from triad_training.evaluation.retrieval import Retrieval, Subset, mean_recall, score_retrieval, search_sides
from triad_training.evaluation.transcripts import as_heard
from triad_training.layers import distributed
from triad_training.layers.distributed import Batches, average_gradients, pad_alike
from triad_training.learning.objective import Objective
from triad_training.learning.optimizer import parameter_groups, warmup_cosine
from triad_training.learning.prepare import Prepared
from triad_training.media.registry import MEDIA
from triad_training.network.model import TriadModel

BEST_FILE = "best.safetensors"
VALIDATION_BATCH = 32  # times the subsets of media
Batch: TypeAlias = Mapping[str, Mapping[str, Tensor]]

LOSS_EVERY = 20  # steps between looks at the loss, each of which waits for the GPU
ALIGNED = tuple(name for medium in MEDIA for name in medium.aligned_inputs)


@dataclass
class RunState:
    """What a checkpoint holds beside weights, optimiser, schedule and random states. Epochs count from 1."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf

    def take(self, score: float) -> bool:
        """Ends an epoch; whether it is the best so far."""
        self.epoch += 1
        better = not self.best_epoch or score > self.best_score
        if better:
            self.best_epoch, self.best_score = self.epoch, score
        return better

    def state_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def fit(model: TriadModel, prepared: Prepared, accelerator: Accelerator, run: Path) -> TriadModel:
    """Returns the model with the weights of its best epoch."""
    optim, console = prepared.config.optim, Console(stderr=True, quiet=not accelerator.is_main_process)
    learner = Learner(model, prepared, accelerator)
    state, history = RunState(), list[EpochRecord]()
    accelerator.register_for_checkpointing(learner.schedule, learner.average, state)
    if optim.resume:
        if not (run / "checkpoint").is_dir():
            raise ConfigError(f"optim.resume: there is no {run}/checkpoint to go on from.")
        accelerator.load_state(str(run / "checkpoint"))
        history += read_history(run)[: state.epoch]
    else:
        if accelerator.process_index:
            set_seed(optim.seed + accelerator.process_index)  # or dropout would hit all processes alike
        _save_checkpoint(accelerator, run)

    try:
        for epoch in range(state.epoch, optim.epochs):
            if state.epoch - state.best_epoch >= optim.patience:
                break
            watch = Stopwatch()
            loss = learner.learn(epoch, watch, state, console)
            score = validate(learner.averaged_model, prepared, accelerator.device)
            better = state.take(score)
            history.append(
                EpochRecord(
                    epoch=state.epoch,
                    loss=loss,
                    validation=score,
                    learning_rate=float(learner.schedule.get_last_lr()[0]),
                    seconds=watch.seconds,
                    data_share=watch.data_share,
                )
            )
            console.print(_sentence(history[-1], optim.epochs, better=better))
            if accelerator.is_main_process:
                write_history(run, history)
                if better:
                    _save_best(learner.averaged_model, run)
            _save_checkpoint(accelerator, run)
    except KeyboardInterrupt:
        console.print(f"stopped; {run}/checkpoint has {state.epoch} epochs: --set optim.resume=true goes on")
        raise
    accelerator.wait_for_everyone()
    model.load_state_dict(load_file(run / BEST_FILE))
    return model


class Learner:
    """Network, losses, optimiser, schedule and average of weights, on the accelerator's device."""

    def __init__(self, model: TriadModel, prepared: Prepared, accelerator: Accelerator) -> None:
        self.optim, self.data, self.accelerator = prepared.config.optim, prepared.train, accelerator
        objective = Objective(model, prepared.config, prepared.tasks, teacher=prepared.teacher)
        optimizer = torch.optim.AdamW(parameter_groups(objective, self.optim), lr=self.optim.learning_rate)
        # No DistributedDataParallel: see layers/distributed.py.
        self.objective = accelerator.prepare_model(objective, evaluation_mode=True)
        self.optimizer = accelerator.prepare_optimizer(optimizer)
        self.batches = Batches(
            prepared.train,
            batch_size=self.optim.batch_size,
            seed=self.optim.seed,
            sizes=prepared.sizes,
        )
        self.loader = _train_loader(prepared, self.batches)
        self.steps = self.optim.epochs * len(self.loader)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer.optimizer, functools.partial(warmup_cosine, steps=self.steps, optim=self.optim)
        )
        self.average = AveragedModel(model, multi_avg_fn=averaging(self.optim.average), use_buffers=True)

    @property
    def averaged_model(self) -> TriadModel:
        """What is validated and kept: exponential moving averages of the weights (with decay 0, the last)."""
        model = self.average.module
        assert isinstance(model, TriadModel)
        return model

    def learn(self, epoch: int, watch: Stopwatch, state: RunState, console: Console) -> float:
        """One epoch; the mean loss of its steps."""
        self.data.epoch = epoch
        self.batches.epoch = epoch
        self.objective.train()
        losses: list[Tensor] = []
        for read in _with_progress(watch.watch(self.loader), len(self.loader), losses, state, console):
            batch: Batch = send_to_device(read, self.accelerator.device, non_blocking=True)
            step = self.schedule.last_epoch
            inputs, targets = pad_alike(batch["inputs"], ALIGNED), batch["targets"]
            items_BM = batch["rows"].get("items")
            loss = self.objective(inputs, targets, items_BM=items_BM, step=step, progress=step / self.steps)
            self.accelerator.backward(loss)
            average_gradients(self.objective.parameters())
            self.accelerator.clip_grad_norm_(self.objective.parameters(), self.optim.clip_norm)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
            self.average.update_parameters(self.accelerator.unwrap_model(self.objective).model)
            losses.append(loss.detach())
        return mean_of(losses, epoch)


def make_accelerator(optim: OptimConfig) -> Accelerator:
    """Devices and processes as `accelerate launch` or torchrun set them; one CPU or GPU without."""
    return Accelerator(
        cpu=not torch.accelerator.is_available(),  # otherwise processes on CPUs do not find each other
        mixed_precision=optim.mixed_precision,
        # The first process exports, evaluates and writes while the others wait.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=1))],
    )


def averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving averages of floats. Whole numbers are copied: torch rounds their averages down, so
    that a table of indices points elsewhere after a step."""
    moving = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            moving(averaged, current, count)
            return
        for kept, new in zip(averaged, current, strict=True):
            kept.copy_(new)

    return average


def mean_of(losses: Sequence[Tensor], epoch: int) -> float:
    """Raises ConfigError where it is not finite: such weights are of no use."""
    mean = float(distributed.total(torch.stack(list(losses)).mean())) / distributed.process_count()
    if not math.isfinite(mean):
        raise ConfigError(f"The loss is {mean} in epoch {epoch + 1}; lower optim.learning_rate.")
    return mean


def _save_checkpoint(accelerator: Accelerator, run: Path) -> None:
    """Whole or not at all: a kill in the middle leaves the one before."""
    accelerator.wait_for_everyone()
    partial, checkpoint = run / "checkpoint.partial", run / "checkpoint"
    with _saving(partial):
        accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(checkpoint, ignore_errors=True)
        partial.rename(checkpoint)


def _save_best(model: TriadModel, run: Path) -> None:
    """Whole or not at all, too."""
    partial = run / f"{BEST_FILE}.partial"
    with _saving(partial):
        save_file(model.state_dict(), partial)
        partial.replace(run / BEST_FILE)


@contextmanager
def _saving(path: Path) -> Iterator[None]:
    """disk.writing for torch and safetensors, which have their own errors for a full disk."""
    with writing(path):
        try:
            yield
        except (RuntimeError, SafetensorError) as error:
            free = shutil.disk_usage(path.parent).free
            raise OSError(f"{error}, with {free // 2**20} MiB free on the device") from error


def validate(model: TriadModel, prepared: Prepared, device: torch.device) -> float:
    """Mean score over all subsets of media; where no row is labelled, mean recall of search between media.

    Every process computes all of it, so that all decide alike.
    """
    if not any(is_labelled(t) for t in prepared.validation.targets.values()):
        return mean_recall(_search(model, prepared, device))
    run = _torch_runner(model, prepared, device)
    answers = answer_subsets(run, _validation_loader(prepared), prepared.tasks, media=model.media)
    uneven = [name for name, task in prepared.config.tasks.items() if task.imbalance != "none"]
    return mean_score(answers, prepared.tasks, balanced=uneven)


@torch.inference_mode()
def _search(model: TriadModel, prepared: Prepared, device: torch.device) -> Retrieval:
    """Between the media of the validation rows."""
    model.eval()
    sides = search_sides(model.media)
    found: dict[Subset, list[F32]] = {side: [] for side in sides}
    for examples in _validation_loader(prepared):
        packed = pack_batch([example.inputs for example in examples], prepared.config.spec)
        inputs = {name: torch.from_numpy(array).to(device) for name, array in packed.items()}
        rows = {medium: inputs[f"{medium}_row"] for medium in model.media}
        embedded = model.embed(model.encode(inputs), rows)
        for side in sides:
            places = [model.media.index(medium) for medium in side]
            found[side].append(embedded.of(places).fuse().float().cpu().numpy())
    vectors = {side: np.concatenate(parts) for side, parts in found.items()}
    validation = prepared.validation
    return score_retrieval(vectors, model.media, validation.items_NM, prepared.tasks, validation.targets)


def _train_loader(prepared: Prepared, batches: Batches) -> DataLoader[LabelledInputs]:
    return DataLoader(
        prepared.train,
        batch_sampler=batches,
        num_workers=prepared.config.optim.workers,
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
        cpu = {name: outputs[f"logits.{name}"].float().cpu().numpy() for name in names}
        shares = {
            name: [
                outputs.get(f"attention.{name}.{medium}", absent_B).float().sum(1) for medium in model.media
            ]
            for name in names
        }
        return BatchAnswers(
            logits={
                name: as_heard(_cut(cpu[name], outputs[f"moments.{name}"].sum(1).tolist()))
                if name in model.transcript_heads
                else cpu[name]
                for name in names
            },
            attention={name: torch.stack(parts, dim=1).cpu().numpy() for name, parts in shares.items()},
        )

    return run


def _cut(logits_BSK: F32, counts: Sequence[int]) -> list[F32]:
    """Without the padding of each row."""
    return [row_SK[:count] for row_SK, count in zip(logits_BSK, counts, strict=True)]


def _with_progress(
    batches: Iterable[Batch], steps: int, losses: Sequence[Tensor], state: RunState, console: Console
) -> Iterator[Batch]:
    """The batches of an epoch under a bar that shows the loss so far and the best validation score."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    best = f"  best validation {state.best_score:.4f}" if state.best_epoch else ""
    with Progress(*columns, console=console, transient=True) as bar:
        shown = bar.add_task("", total=steps)
        for step, batch in enumerate(batches):
            if step % LOSS_EVERY == 0:
                loss = f"  loss {mean_of(losses[-LOSS_EVERY:], state.epoch):.4f}" if losses else ""
                bar.update(shown, description=f"epoch {state.epoch + 1}{loss}{best}")
            yield batch
            bar.advance(shown)


def _sentence(record: EpochRecord, epochs: int, *, better: bool) -> str:
    return (
        f"epoch {record.epoch}/{epochs}  loss {record.loss:.4f}  validation {record.validation:.4f}"
        f"  {record.seconds:.0f} s, {record.data_share:.0%} waiting for data{'  best' if better else ''}"
    )
