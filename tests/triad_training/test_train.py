"""The whole run on a toy table: it learns, its bundle says what it does, it stops and goes on."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

import triad_training.learning.loop as fitting
from tests.triad_training.conftest import table_folder
from triad_serving import cli
from triad_serving.contract.errors import BundleError, ConfigError
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.session import Session
from triad_serving.operation.inspection import describe_bundle
from triad_training.config.reading import load_config
from triad_training.evaluation.history import read_history
from triad_training.learning.loop import fit, make_accelerator
from triad_training.learning.prepare import build_model, prepare
from triad_training.network.export import export_graph
from triad_training.network.parity import MAX_DRIFT, check_parity, parity_examples
from triad_training.train import report_page, train_bundle


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
    kind, tags, size = toy_bundle.tasks
    assert (len(tags.thresholds), kind.thresholds, size.thresholds) == (2, (), ())
    assert f"big (above {tags.thresholds[0]:.2g})" in card
    low, high = manifest.intervals["test"]["text+image+audio"]["kind"]["accuracy"]
    assert f"({100 * low:.2f} to {100 * high:.2f})" in card
    assert f"({low:.3g} to {high:.3g})" in describe_bundle(toy_bundle)  # how `triad train` ends


def test_training_leaves_a_report_beside_its_checkpoint_and_not_in_the_bundle(toy_bundle: Bundle) -> None:
    folder = toy_bundle.path.parents[2] / "runs" / "toy-1" / "report"
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="training"' in page
    assert "peak memory" in page
    assert "kind: 16 validation rows are labelled" in page
    assert "too few to choose epochs and thresholds by; the 95 % interval of its accuracy there" in page
    assert {"course.png", "confusion-kind.png", "regression-size.png"} <= {
        file.name for file in folder.iterdir()
    }
    assert not list(toy_bundle.path.glob("*.html"))


@pytest.mark.usefixtures("blank_charts")
def test_one_medium_and_one_number_make_a_bundle_and_a_report(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (toy_folder / "config.toml").read_text("utf-8")
    config = config.replace('[tasks.kind]\n[tasks.tags]\ntype = "multilabel"\n', "")
    (toy_folder / "config.toml").write_text(config, encoding="utf-8")
    table = toy_folder / "metadata.csv"
    header, *lines = table.read_text("utf-8").splitlines()
    named = [f"{n} night {line}" for n, line in enumerate(lines)]  # no text in two splits, none empty
    table.write_text("\n".join([header, *named]), encoding="utf-8")
    monkeypatch.chdir(toy_folder)
    overrides = ["data.image=''", "data.audio=''", "optim.epochs=1"]
    overrides += ["export.int8='dynamic'", "export.max_drop=100"]
    bundle = train_bundle(toy_folder / "config.toml", overrides=overrides)
    assert bundle.manifest.int8 is not None
    assert bundle.manifest.int8.original_sha256 == bundle.manifest.files["model.onnx"]
    assert bundle.int8_path is not None
    assert bundle.int8_path.stat().st_size < bundle.model_path.stat().st_size
    assert "## With 8-bit weights" in (bundle.path / "MODEL_CARD.md").read_text("utf-8")
    page = report_page(bundle).read_text("utf-8")
    assert "size: mean error" in page
    assert "no choice between media" in page


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
    accelerator = make_accelerator(config.optim)
    model = fit(build_model(prepared), prepared, accelerator, tmp_path / "run")
    graph = export_graph(model, config.spec, prepared.tasks)
    session = Session(graph, spec=config.spec, tasks=prepared.tasks, device="cpu")
    assert check_parity(model, session, config.spec, [prepared.validation[0].inputs]) < MAX_DRIFT


def test_the_parity_check_gets_examples_of_every_medium(toy_folder: Path) -> None:
    table = toy_folder / "metadata.csv"
    lines = table.read_text("utf-8").splitlines()
    for i, line in enumerate(lines):
        text, image, audio, split, *labels = line.split(",")
        if split == "val" and audio and i < 75:  # the sounds of the first validation rows
            lines[i] = ",".join([text, image, "", split, *labels])
    table.write_text("\n".join(lines), encoding="utf-8")
    examples = parity_examples(prepare(load_config(toy_folder / "config.toml")).validation)
    assert {medium for example in examples for medium in example.media} == {"text", "image", "audio"}


def test_an_existing_bundle_is_refused_before_any_training(toy_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="another version"):
        train_bundle(table_folder(toy_bundle) / "config.toml", out=toy_bundle.path.parents[1])


def test_an_interrupted_run_goes_on_where_it_stopped(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C in the second epoch; resumed, the weights end as those of a run that was left alone."""

    def weights(name: str, *overrides: str) -> dict[str, torch.Tensor]:
        prepared = prepare(load_config(toy_folder / "config.toml", ["optim.epochs=2", *overrides]))
        set_seed(0)
        return fit(
            build_model(prepared), prepared, make_accelerator(prepared.config.optim), tmp_path / name
        ).state_dict()

    expected = weights("whole")
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "validate", _interrupt_at(2))
        with pytest.raises(KeyboardInterrupt):
            weights("cut")
    assert [record.epoch for record in read_history(tmp_path / "cut")] == [1]
    resumed = weights("cut", "optim.resume=true")
    whole, cut = read_history(tmp_path / "whole"), read_history(tmp_path / "cut")
    assert [(r.epoch, r.loss, r.validation) for r in cut] == [(r.epoch, r.loss, r.validation) for r in whole]
    assert all(0 < r.data_share < 1 and r.seconds > 0 for r in cut)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_there_must_be_a_checkpoint_to_go_on_from(toy_folder: Path, tmp_path: Path) -> None:
    prepared = prepare(load_config(toy_folder / "config.toml", ["optim.resume=true"]))
    accelerator = make_accelerator(prepared.config.optim)
    with pytest.raises(ConfigError, match="checkpoint to go on from"):
        fit(build_model(prepared), prepared, accelerator, tmp_path / "nothing")


def test_a_loss_that_is_no_number_ends_the_run(toy_folder: Path, tmp_path: Path) -> None:
    prepared = prepare(load_config(toy_folder / "config.toml", ["optim.epochs=1"]))
    model = build_model(prepared)
    with torch.no_grad():
        model.head("kind").net[0].bias.fill_(math.nan)
    with pytest.raises(ConfigError, match="The loss is nan in epoch 1"):
        fit(model, prepared, make_accelerator(prepared.config.optim), tmp_path / "run")


def test_the_command_refuses_a_bad_table_with_every_problem(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = toy_folder / "metadata.csv"
    table.write_text(table.read_text("utf-8").replace("3.png", "nowhere.png"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["triad", "train", str(toy_folder / "config.toml")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("nowhere.png") == len(range(3, 100, 10))


def _interrupt_at(call: int):  # type: ignore[no-untyped-def]
    calls = iter(range(1, 100))
    real = fitting.validate

    def validate(*arguments: object) -> float:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    return validate
