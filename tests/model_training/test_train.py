"""The whole run on a toy table: it learns, its bundle says what it does, it stops and goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

import model_training.train as training
from model_training.config import load_config
from model_training.evaluate import evaluate_bundle
from model_training.export import MAX_DRIFT, check_parity, export_graph
from model_training.train import build_model, fit, prepare, train_bundle
from service.bundle import Bundle
from service.contract import MediaLimits, Wanted, media_subsets
from service.errors import BundleError, ExportError, ParameterError, TableError
from service.preprocess.example import preprocess
from service.session import Session

EVERYTHING = Wanted(attention=True, embeddings=True)


def table_folder(bundle: Bundle) -> Path:
    return bundle.path.parents[2] / "table"


def test_the_toy_is_learnt_in_every_subset_of_media(toy_bundle: Bundle) -> None:
    scores = toy_bundle.manifest.metrics["test"]
    assert len(scores) == 7
    for subset, per_task in scores.items():
        assert per_task["kind"]["accuracy"] >= 0.9, subset
        assert {"accuracy", "precision", "recall", "f1", "ece", "examples"} == set(per_task["kind"])
        assert {"mae", "r2", "examples"} == set(per_task["size"])
    assert scores["text+image+audio"]["size"]["r2"] > 0.5


def test_the_bundle_says_how_it_was_made_without_a_path_of_the_machine(toy_bundle: Bundle) -> None:
    manifest = toy_bundle.manifest
    assert manifest.training["optim"]["epochs"] == 12
    assert manifest.training["data"]["table"] == "metadata.csv"
    assert str(toy_bundle.path.parents[2]) not in (toy_bundle.path / "bundle.json").read_text("utf-8")
    card = (toy_bundle.path / "MODEL_CARD.md").read_text("utf-8")
    for expected in ("# toy, version 1", "| kind | text+image+audio | ", "Drawn by the test.", "CC0", "e-0"):
        assert expected in card
    assert all(0.05 <= task.temperature <= 20 for task in toy_bundle.tasks)


def test_an_answer_is_the_same_alone_and_in_any_batch(toy_bundle: Bundle) -> None:
    """On the exported graph, over mixed presence: what the service promises."""
    session = Session(toy_bundle.model_path, spec=toy_bundle.spec, tasks=toy_bundle.tasks, device="cpu")
    config = load_config(table_folder(toy_bundle) / "config.toml")
    examples = [
        preprocess(example.read(), toy_bundle.spec, toy_bundle.vocabulary, MediaLimits())
        for example in prepare(config).test.examples
    ]
    batch = [example.only(*subset) for example in examples for subset in media_subsets(example.media)]
    for inputs, together in zip(batch, session.run(batch, EVERYTHING), strict=True):
        (alone,) = session.run([inputs], EVERYTHING)
        for task in toy_bundle.tasks:
            assert np.allclose(alone.logits_K[task.name], together.logits_K[task.name], atol=1e-4)
            for medium in inputs.media:
                first, second = (out.attention[task.name][medium] for out in (alone, together))
                assert np.allclose(first, second, atol=1e-4)
        assert np.allclose(alone.embeddings_D["fused"], together.embeddings_D["fused"], atol=1e-4)


def test_a_graph_that_drifts_is_refused(toy_folder: Path) -> None:
    prepared = prepare(load_config(toy_folder / "config.toml"))
    torch.manual_seed(0)
    model = build_model(prepared)
    spec = prepared.config.spec
    session = Session(
        export_graph(model, spec, prepared.tasks), spec=spec, tasks=prepared.tasks, device="cpu"
    )
    examples = [prepared.validation[i].inputs for i in range(4)]
    assert check_parity(model, session, spec, examples) < 1e-5
    with torch.no_grad():
        model.heads["kind"].net[0].bias += 0.01
    with pytest.raises(ExportError, match="drifts from the network") as caught:
        check_parity(model, session, spec, examples)
    assert caught.value.limit == MAX_DRIFT
    with torch.no_grad():
        model.heads["kind"].net[0].bias.fill_(math.nan)
    with pytest.raises(ExportError):
        check_parity(model, session, spec, examples)


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps the precision of its first use for the life of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerate")
def test_a_model_trained_in_mixed_precision_exports_in_full_precision(
    toy_folder: Path, tmp_path: Path
) -> None:
    config = load_config(toy_folder / "config.toml", ["optim.epochs=1", "optim.mixed_precision=bf16"])
    prepared = prepare(config)
    accelerator = training.make_accelerator(config.optim)
    model = fit(build_model(prepared), prepared, accelerator, tmp_path / "run")
    graph = export_graph(model, config.spec, prepared.tasks)
    session = Session(graph, spec=config.spec, tasks=prepared.tasks, device="cpu")
    assert check_parity(model, session, config.spec, [prepared.validation[0].inputs]) < 1e-5


def test_an_existing_bundle_is_refused_before_any_training(toy_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="another version"):
        train_bundle(table_folder(toy_bundle) / "config.toml", out=toy_bundle.path.parents[1])


def test_evaluate_finds_the_scores_that_the_bundle_states(toy_bundle: Bundle) -> None:
    evaluation = evaluate_bundle(toy_bundle.path, table_folder(toy_bundle) / "metadata.csv", split="test")
    assert json.loads(evaluation.json()) == {"test": toy_bundle.manifest.metrics["test"]}
    assert "| kind | text+image+audio |" in evaluation.table()


def test_evaluate_refuses_what_it_cannot_score(toy_bundle: Bundle, toy_folder: Path) -> None:
    with pytest.raises(ParameterError, match="Unknown split"):
        evaluate_bundle(toy_bundle.path, toy_folder / "metadata.csv", split="holdout")
    table = toy_folder / "metadata.csv"
    table.write_text(table.read_text("utf-8").replace(",low,", ",purple,"), encoding="utf-8")
    with pytest.raises(TableError, match="unknown label 'purple'"):
        evaluate_bundle(toy_bundle.path, table)


def test_an_interrupted_run_goes_on_where_it_stopped(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C in the second epoch; resumed, the weights end as those of a run that was left alone."""

    def weights(name: str, *overrides: str) -> dict[str, torch.Tensor]:
        prepared = prepare(load_config(toy_folder / "config.toml", ["optim.epochs=2", *overrides]))
        training.set_seed(0)
        return fit(
            build_model(prepared), prepared, training.make_accelerator(prepared.config.optim), tmp_path / name
        ).state_dict()

    expected = weights("whole")
    with monkeypatch.context() as patch:
        patch.setattr(training, "validate", _interrupt_at(2))
        with pytest.raises(KeyboardInterrupt):
            weights("cut")
    resumed = weights("cut", "optim.resume=true")
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def _interrupt_at(call: int):  # type: ignore[no-untyped-def]
    calls = iter(range(1, 100))
    real = training.validate

    def validate(*arguments: object) -> float:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    return validate
