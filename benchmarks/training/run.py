"""One measurement in a process of its own, printed as one line of JSON.

    python -m benchmarks.training.run stages|epochs|compare TABLE [--workers 2] [--rounds 3] [--set KEY=VALUE]

Under `python -m torch.distributed.run --nproc-per-node 2` epochs are of two processes.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, set_seed
from rich.console import Console

from benchmarks.serving.servers import ROOT
from benchmarks.training.plain import PlainLoop, WholeLoss
from triad_training.config.reading import parse_config, read_document
from triad_training.data.dataset import ExampleDataset, LabelledInputs, collate
from triad_training.data.files import FileStore
from triad_training.evaluation.history import Stopwatch
from triad_training.learning.loop import Learner, RunState, make_accelerator, validate
from triad_training.learning.prepare import Prepared, build_model, prepare
from triad_training.network.model import TriadModel

CONFIG = ROOT / "examples/tridigits/config.toml"
EPOCHS = 100  # of the schedule, whose beginning is measured
MIB_KIB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=list(MEASUREMENTS))
    parser.add_argument("table", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    overrides = [
        f"data.table={options.table.resolve()}",
        f"optim.workers={options.workers}",
        f"optim.epochs={EPOCHS}",
        *options.overrides,
    ]
    document = read_document(CONFIG, overrides)
    if not (CONFIG.parent / document["augment"]["audio"]["noise_folder"]).is_dir():
        del document["augment"]["audio"]["noise_folder"]  # then noise is made of random numbers
    config = parse_config(document, CONFIG).with_paths_from(CONFIG.parent)
    set_seed(config.optim.seed)
    accelerator = make_accelerator(config.optim)
    prepared = prepare(config)
    found = MEASUREMENTS[options.what](prepared, accelerator, options.rounds)
    if accelerator.is_main_process:
        sys.stdout.write(json.dumps({**found, **_memory(accelerator)}) + "\n")


def stages(prepared: Prepared, accelerator: Accelerator, rounds: int) -> dict[str, float]:
    """Seconds per 1000 examples of each stage, one after another in this process."""
    train, spec, batch_size = prepared.train, prepared.config.spec, prepared.config.optim.batch_size
    decoded = copy.copy(train.unchanged())
    decoded.files = FileStore(spec)
    decoded = decoded.reading(spec, prepared.assets)
    decoded_s, first_s = _read_s(decoded), _read_s(train.unchanged())
    plain_s = statistics.median(_read_s(train.unchanged()) for _ in range(rounds))
    augmented_s = statistics.median(_read_s(train) for _ in range(rounds))
    learner = Learner(build_model(prepared), prepared, accelerator)
    learner.objective.train()
    spent: dict[str, float] = {}
    examples = [train[n] for n in range(len(train))]
    for batch in _batches(examples[:batch_size], prepared, batch_size):
        _step(learner, batch, {})  # the first one is slower
    with _timed(spent, "collate"):
        batches = list(_batches(examples, prepared, batch_size))
    for batch in batches:
        _step(learner, batch, spent)
    validation_s = _seconds(lambda: validate(learner.averaged_model, prepared, accelerator.device))
    per_1000 = {name: 1000 * seconds / len(train) for name, seconds in spent.items()}
    return {
        "decode from files, preprocess": 1000 * decoded_s / len(train),
        "the same, and put into the cache": 1000 * first_s / len(train),
        "read from the cache, preprocess": 1000 * plain_s / len(train),
        "augment": 1000 * max(augmented_s - plain_s, 0) / len(train),
        **per_1000,
        "evaluate, per 1000 validation examples": 1000 * validation_s / len(prepared.validation),
    }


def epochs(prepared: Prepared, accelerator: Accelerator, rounds: int) -> dict[str, float]:
    """Median epoch of the trainer, without validation; the first one warms up. waiting: for data."""
    learner = Learner(build_model(prepared), prepared, accelerator)
    found = [_learn(learner, epoch) for epoch in range(1 + rounds)][1:]
    rows = len(prepared.train)
    return {
        "s_per_1000": 1000 * statistics.median(seconds for seconds, _ in found) / rows,
        "waiting": statistics.median(share for _, share in found),
        "examples": rows,
        "processes": accelerator.num_processes,
    }


def compare(prepared: Prepared, accelerator: Accelerator, rounds: int) -> dict[str, float]:
    """The trainer beside plain loops, epoch by epoch in turn; each has a network of its own."""
    learner = Learner(build_model(prepared), prepared, accelerator)
    plain = PlainLoop(build_model(prepared), prepared)
    whole_model = build_model(prepared)
    whole = PlainLoop(whole_model, prepared, loss=WholeLoss(whole_model, prepared.tasks))
    runs: dict[str, Callable[[int], object]] = {
        "trainer": functools.partial(_learn, learner),
        "plain loop": plain.epoch,
        "plain loop, all media together alone": whole.epoch,
    }
    times_s: dict[str, list[float]] = {name: [] for name in runs}
    for epoch in range(1 + rounds):
        for name, run in runs.items():
            times_s[name].append(_seconds(functools.partial(run, epoch)))
    rows = len(prepared.train)
    per_1000 = {name: 1000 * statistics.median(each[1:]) / rows for name, each in times_s.items()}
    ratios = [a / b for a, b in zip(times_s["trainer"][1:], times_s["plain loop"][1:], strict=True)]
    return {**per_1000, "trainer / plain loop": statistics.median(ratios)}


MEASUREMENTS: dict[str, Callable[[Prepared, Accelerator, int], dict[str, float]]] = {
    "stages": stages,
    "epochs": epochs,
    "compare": compare,
}


def _learn(learner: Learner, epoch: int) -> tuple[float, float]:
    """Seconds, and the share of them that went by waiting for data."""
    watch = Stopwatch()
    learner.learn(epoch, watch, RunState(epoch=epoch), Console(stderr=True, quiet=True))
    if learner.accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return watch.seconds, watch.data_share


def _step(learner: Learner, batch: dict[str, dict[str, torch.Tensor]], spent: dict[str, float]) -> None:
    """What Learner.learn does with a batch, timed in parts."""
    moved = send_to_device(batch, learner.accelerator.device)
    step = learner.schedule.last_epoch
    with _timed(spent, "forward"):
        loss = learner.objective(moved["inputs"], moved["targets"], step=step, progress=step / learner.steps)
    with _timed(spent, "backward"):
        learner.accelerator.backward(loss)
    with _timed(spent, "clip, step, average"):
        learner.accelerator.clip_grad_norm_(learner.objective.parameters(), learner.optim.clip_norm)
        learner.optimizer.step()
        learner.schedule.step()
        learner.optimizer.zero_grad()
        model: TriadModel = learner.accelerator.unwrap_model(learner.objective).model
        learner.average.update_parameters(model)


def _batches(
    examples: list[LabelledInputs], prepared: Prepared, size: int
) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
    for first in range(0, len(examples), size):
        yield collate(examples[first : first + size], prepared.config.spec)


def _read_s(data: ExampleDataset) -> float:
    return _seconds(lambda: _exhaust(data[n] for n in range(len(data))))


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _seconds(run: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    run()
    return time.perf_counter() - started_s


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    started_s = time.perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - started_s


def _memory(accelerator: Accelerator) -> dict[str, float]:
    """Peak MiB of this process, of its largest worker, and of what torch took of the GPU."""
    own, workers = (
        resource.getrusage(who).ru_maxrss / MIB_KIB
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    found = {"peak_mb": own, "largest_worker_mb": workers}
    if accelerator.device.type == "cuda":
        found["gpu_mb"] = torch.cuda.max_memory_allocated() / MIB_KIB**2
    return found


if __name__ == "__main__":
    main()
