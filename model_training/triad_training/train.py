"""`triad train`: a table of examples becomes a bundle. Read `train_bundle`, then learning/loop.py."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from accelerate.utils import set_seed
from rich.console import Console
from safetensors.torch import save

from triad_serving.contract.arrays import F32
from triad_serving.contract.disk import require_writable
from triad_serving.contract.errors import BundleError, CompressionError, DiskError
from triad_serving.contract.tasks import Task, with_one_answer
from triad_serving.inference.bundle import (
    CARD_FILE,
    INT8_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    Bundle,
    BundleManifest,
    read_bundle,
    write_bundle,
)
from triad_serving.inference.session import Session
from triad_training.compression.compare import Comparison, Variant, compare
from triad_training.compression.int8 import int8_section, summarise, with_int8
from triad_training.data.preset import load_with_preset
from triad_training.evaluation.baseline import baseline_table, judged_by, make_baseline
from triad_training.evaluation.bootstrap import Interval, doubt_validation, subset_intervals, whole_intervals
from triad_training.evaluation.card import model_card
from triad_training.evaluation.decision import decide
from triad_training.evaluation.decoding import decoding_files, weigh_ngrams, with_decodings
from triad_training.evaluation.evaluate import (
    answer_split,
    evaluate_answers,
    groups_of,
    transcribed_again,
    with_transcripts,
)
from triad_training.evaluation.history import read_history, run_folder
from triad_training.evaluation.metrics import Answers, calibrate, score_subsets
from triad_training.evaluation.report.page import PAGE_FILE, write_report
from triad_training.evaluation.retrieval import search_split
from triad_training.learning.blend import Solved, is_linear, needed_experts, solve_experts
from triad_training.learning.loop import fit, make_accelerator
from triad_training.learning.prepare import Prepared, build_model, prepare
from triad_training.learning.transfer import transfer_weights
from triad_training.media.encoders import bundle_files
from triad_training.media.pretrained.low_rank import merge_low_rank
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity, parity_examples
from triad_training.network.rehearsal import rehearse


def train_bundle(
    config_path: Path, *, out: Path | None = None, overrides: Sequence[str] = (), subset: str = ""
) -> Bundle:
    """Trains, exports, calibrates and evaluates; writes out/<name>/<version> (out: models).

    Ctrl-C leaves a checkpoint under runs/ that `--set optim.resume=true` goes on from.
    Raises ConfigError, TableError, BundleError where the bundle exists, DiskError, ExportError on drift.
    """
    config, note = load_with_preset(config_path, overrides, subset=subset)
    destination = (out or Path("models")) / config.name / config.version
    if destination.exists():
        raise BundleError(f"{destination} exists; give the config another version.")
    require_writable(destination.parent)
    set_seed(config.optim.seed)
    prepared = prepare(config)
    model = build_model(prepared)
    accelerator = make_accelerator(config.optim)
    run = run_folder(config.name, config.version)
    if accelerator.is_main_process:
        labels = prepared.train.targets
        prepared = replace(prepared, tasks=with_decodings(prepared.tasks, config.tasks, labels, run))
        _tell(note)
        labels = prepared.validation.targets
        _warn([*prepared.warnings, *_doubts(prepared.tasks, labels)])
    if config.transfer.bundle is not None and not config.optim.resume:
        bundle = read_bundle(config.transfer.bundle)
        reading = prepared.config.spec, prepared.assets
        transfer = transfer_weights(model, *reading, prepared.tasks, bundle, whole=config.transfer.whole)
        if accelerator.is_main_process:
            transfer.report(run)
    if accelerator.is_main_process:
        rehearse(model, prepared.config.spec, prepared.tasks, parity_examples(prepared.validation))
    model.keep_frozen(set(model.media) - config.augment.media)  # others differ each time
    of_network = prepared.with_experts((), augmented=True)  # which reads no n-grams, epoch after epoch
    model.read(of_network.config.spec)
    model = fit(model, of_network, accelerator, run)
    model.read(prepared.config.spec)
    if accelerator.is_main_process:
        solved = solve_experts(model, prepared)
        if model.expert_names:
            prepared = without_idle_experts(model, prepared)
        model.keep_frozen(())
        try:
            write_trained_bundle(model, prepared, destination, solved)
        except DiskError as error:
            raise DiskError(
                f"{error.detail} The weights are in {run}: --set optim.resume=true goes on."
            ) from error
    accelerator.wait_for_everyone()
    return read_bundle(destination)


def without_idle_experts(model: TriadModel, prepared: Prepared) -> Prepared:
    """Experts that no task believes are left out. Returns what is still to be read."""
    kept = needed_experts(model)
    prepared = prepared.with_experts(kept)
    model.keep_experts(kept, prepared.config.spec)
    return prepared


def report_page(bundle: Bundle) -> Path:
    """What the training of a bundle has left; not in the bundle, because it shows users' media."""
    return run_folder(bundle.manifest.name, bundle.manifest.version) / "report" / PAGE_FILE


def write_trained_bundle(model: TriadModel, prepared: Prepared, destination: Path, solved: Solved) -> None:
    """Exports, compares, calibrates on validation, scores validation and test, writes bundle and report."""
    config, spec = prepared.config, prepared.config.spec
    merge_low_rank(model)
    graph = export_graph(model, spec, prepared.tasks)
    session = Session(graph, spec=spec, tasks=prepared.tasks, device="cpu", threads=torch.get_num_threads())
    drift = check_parity(model, session, spec, parity_examples(prepared.validation))
    run = run_folder(config.name, config.version)
    validation = with_transcripts(solved.unseen, session, prepared.validation, prepared.tasks, run)
    tasks = decide(validation, _calibrated(validation, prepared.tasks, run), config.tasks)
    validation = transcribed_again(validation, tasks, run)
    answering = with_one_answer(prepared.tasks)
    baseline = make_baseline(*solved.linear, answering, config.tasks) if solved.linear else None
    if baseline:  # whose decisions rest on more rows, where its answers are the model's
        linear = {own.name: own for own in baseline.tasks if is_linear(model, own.name)}
        tasks = tuple(linear.get(own.name, own) for own in tasks)
    test = answer_split(session, prepared.test, tasks, run)
    groups_E = groups_of(prepared.validation)
    doubts = _doubts(
        tasks, prepared.validation.targets, intervals=whole_intervals(validation, tasks, groups_E)
    )
    _warn(doubts)
    test_groups_E = groups_of(prepared.test)
    differences = (
        baseline.differences(test, with_one_answer(tasks), test_groups_E, config.tasks) if baseline else {}
    )
    if baseline:
        judged = {task.name: judged_by(task, config.tasks[task.name]) for task in answering}
        _tell(baseline_table(baseline.scores, differences, judged))
    retrieval = {
        name: search_split(session, prepared.split(name), tasks)
        for name in ("validation", "test")
        if config.has_shared_space
    }
    manifest = BundleManifest(
        name=config.name,
        version=config.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        description=config.description,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        preprocess=spec,
        tasks=tasks,
        metrics={"validation": score_subsets(validation, tasks), "test": score_subsets(test, tasks)},
        intervals={
            "validation": subset_intervals(validation, tasks, groups_E),
            "test": subset_intervals(test, tasks, test_groups_E),
        },
        retrieval=retrieval,
        linear=baseline.scores if baseline else {},
        over_linear={task: (each.value, each.low, each.high) for task, each in differences.items()},
        provenance=config.provenance,
        training=config.portable(),
    )
    card = model_card(manifest, drift=drift)
    files = {
        MODEL_FILE: graph,
        WEIGHTS_FILE: save(model.state_dict()),
        **bundle_files(config, spec, prepared.assets),
        **decoding_files(tasks, run),
    }
    if config.export.int8 and (int8 := _int8_beside(graph, tasks, prepared)):
        files[INT8_FILE], comparison = int8
        original = f"{manifest.name} {manifest.version}"
        made = summarise(comparison, original, hashlib.sha256(graph).hexdigest(), [comparison.result.name])
        manifest = manifest.model_copy(update={"int8": made})
        card += int8_section(comparison)
    files[CARD_FILE] = card.encode()
    bundle = write_bundle(destination, manifest, files)
    table = [*prepared.train.examples, *prepared.validation.examples, *prepared.test.examples]
    evaluation = evaluate_answers(
        bundle,
        session,
        prepared.test,
        test,
        examples=table,
        retrieval=retrieval.get("test", {}),
        robustness=True,
        removal=True,
    )
    page = report_page(bundle)
    write_report(page.parent, evaluation, history=read_history(page.parents[1]), doubts=doubts)


def _calibrated(validation: Answers, tasks: Sequence[Task], folder: Path) -> tuple[Task, ...]:
    """Temperatures first: n-grams are weighed against calibrated probabilities, and change the whole's."""
    tempered = calibrate(validation, tasks, folder)
    weighed = tuple(
        weigh_ngrams(task, validation.logits[task.name], validation.targets[task.name], folder)
        for task in tempered
    )
    return tempered if weighed == tempered else calibrate(validation, weighed, folder)


def _int8_beside(
    graph: bytes, tasks: tuple[Task, ...], prepared: Prepared
) -> tuple[bytes, Comparison] | None:
    """A graph with 8-bit weights that loses no more than it may on the validation rows."""
    export, spec = prepared.config.export, prepared.config.spec
    assert export.int8 is not None
    original = Variant(name="single", graph=graph, tasks=tasks)
    narrow = with_int8(original, export.int8, prepared.train)
    folder = run_folder(prepared.config.name, prepared.config.version)
    comparison = compare([original, narrow], spec, prepared.validation, device="cpu", folder=folder)
    try:
        comparison.require(export.max_drop)
    except CompressionError as error:
        _warn([error.detail])
        return None
    return narrow.graph, comparison


def _doubts(
    tasks: Sequence[Task], targets: Mapping[str, F32], *, intervals: Mapping[str, Interval] | None = None
) -> list[str]:
    """What to think of the validation rows, whose targets and scores' intervals by task these are."""
    found = [
        doubt_validation(task, targets[task.name], intervals.get(task.name) if intervals else None)
        for task in tasks
    ]
    return [doubt for doubt in found if doubt]


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        _tell(f"warning: {warning}")


def _tell(text: str) -> None:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
