"""Starting from another bundle's weights: what fits is taken, the rest is reported."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import triad_training.train as training
from tests.conftest import SPEC, write_tiny_bundle
from tests.triad_training.conftest import CONFIG, WITH_EXPERTS, make_toy_folder, table_folder, write_rows
from triad_serving.contract.errors import BundleError, ConfigError
from triad_serving.inference.bundle import WEIGHTS_FILE, Bundle, read_bundle
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.operation.travel import Terms, pull_bundles
from triad_training.config.reading import load_config
from triad_training.data.dataset import collate
from triad_training.data.preset import load_with_preset
from triad_training.learning.prepare import Prepared, build_model, prepare
from triad_training.learning.transfer import Transfer, transfer_weights
from triad_training.network.rebuild import rebuild_network
from triad_training.train import train_bundle


def fresh_parts(transfer: Transfer) -> set[str]:
    return {part for part, count in transfer.fresh.items() if count}


def solved_for(name: str) -> bool:
    """Whether a weight is a linear expert's, or says how far one, or the network, is believed."""
    return name.startswith("experts.") or name.endswith("trust_SM") or name.endswith("trust_SE")


def prepared_from(folder: Path, *overrides: str) -> Prepared:
    return prepare(load_config(folder / "config.toml", overrides))


def transferred(prepared: Prepared, bundle: Bundle) -> tuple[torch.nn.Module, Transfer]:
    torch.manual_seed(1)
    model = build_model(prepared).eval()
    return model, transfer_weights(model, prepared.config.spec, prepared.assets, prepared.tasks, bundle)


def test_the_same_config_answers_as_the_bundle_before_its_first_step(toy_bundle: Bundle) -> None:
    prepared = prepared_from(table_folder(toy_bundle))
    model, transfer = transferred(prepared, toy_bundle)
    assert fresh_parts(transfer) == {f"heads.{task.name}" for task in toy_bundle.tasks}
    inputs = collate([prepared.test[0]], prepared.config.spec)["inputs"]
    with torch.inference_mode():
        expected = rebuild_network(toy_bundle)(inputs)
        found = model(inputs)
    for task in toy_bundle.tasks:
        assert torch.equal(found[f"logits.{task.name}"], expected[f"logits.{task.name}"])


def test_a_transferred_network_believes_itself_and_no_expert_yet(expert_bundle: Bundle) -> None:
    """The bundle's beliefs may be 0 for its network, which could then not learn."""
    prepared = prepared_from(table_folder(expert_bundle), *WITH_EXPERTS)
    state = transferred(prepared, expert_bundle)[0].state_dict()
    assert all((tensor == 1).all() for name, tensor in state.items() if name.endswith(".trust_SM"))
    assert not any(tensor.any() for name, tensor in state.items() if name.endswith(".expert_trust_SE"))
    solved = [tensor for name, tensor in state.items() if name.startswith("experts.") and "weight" in name]
    assert solved
    assert not any(tensor.any() for tensor in solved)


def test_another_set_of_tasks_takes_everything_but_their_heads(toy_bundle: Bundle, tmp_path: Path) -> None:
    make_toy_folder(tmp_path)
    tasks = CONFIG[CONFIG.index("[tasks.kind]") : CONFIG.index("[preprocess.image]")]
    config = CONFIG.replace(tasks, '[tasks.brightness]\ncolumn = "kind"\n')
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    _, transfer = transferred(prepared_from(tmp_path), toy_bundle)
    assert fresh_parts(transfer) == {"attention.brightness", "heads.brightness"}
    gone = {f"{part}.{task}" for part in ("attention", "heads") for task in ("kind", "tags", "size")}
    assert {part for part, count in transfer.unused.items() if count} == gone


def test_a_task_with_other_labels_keeps_where_it_looked_and_begins_its_head_anew(
    toy_bundle: Bundle,
) -> None:
    """As many labels in another order: shapes alone would take the wrong ones."""
    prepared = prepared_from(table_folder(toy_bundle), 'tasks.kind.labels=["low","high"]')
    _, transfer = transferred(prepared, toy_bundle)
    assert transfer.taken["heads.kind"] == 0
    assert transfer.taken["attention.kind"] > 0
    assert transfer.taken["heads.tags"] > 0
    assert transfer.fresh["attention.kind"] == 0


def test_words_that_both_vocabularies_know_keep_their_embedding(toy_bundle: Bundle) -> None:
    prepared = prepared_from(table_folder(toy_bundle))
    old, new = toy_bundle.assets["text"], prepared.assets["text"]
    assert isinstance(old, WordLexicon)
    assert isinstance(new, WordLexicon)
    tokens = ["new", *reversed(old.vocabulary.tokens[1:])]
    object.__setattr__(new, "vocabulary", type(old.vocabulary)(tokens))
    model, transfer = transferred(prepared, toy_bundle)
    expected = transferred(prepared_from(table_folder(toy_bundle)), toy_bundle)[0]
    found_WD, expected_WD = (m.state_dict()["encoders.text.words.weight"] for m in (model, expected))
    for token in tokens[1:]:
        assert torch.equal(found_WD[new.vocabulary.id_of(token)], expected_WD[old.vocabulary.id_of(token)]), (
            token
        )
    assert transfer.fresh["encoders.text"] == transfer.unused["encoders.text"] == found_WD.shape[1]


def test_a_run_starts_from_the_bundle_and_keeps_the_table(
    toy_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[dict[str, torch.Tensor]] = []

    def fit(model: torch.nn.Module, *_: object) -> None:
        started.append(model.state_dict())
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "fit", fit)
    config, source = table_folder(toy_bundle) / "config.toml", f"transfer.bundle={toy_bundle.path}"
    with pytest.raises(KeyboardInterrupt):
        train_bundle(config, out=tmp_path, overrides=[source, "name=second"])
    expected = load_file(toy_bundle.path / WEIGHTS_FILE)
    network = {name: tensor for name, tensor in started[0].items() if not solved_for(name)}
    assert all(torch.equal(expected[name], tensor) for name, tensor in network.items())
    table = (tmp_path / "runs" / "second-1" / "transfer.txt").read_text("utf-8")
    assert table.startswith("weights from toy 1\n")
    assert "encoders.audio" in table
    assert table in capsys.readouterr().err


def test_the_whole_of_a_bundle_goes_on_with_its_words_labels_and_every_weight(
    toy_bundle: Bundle, tmp_path: Path
) -> None:
    """From a table of one label, with a word that the bundle does not know."""
    make_toy_folder(tmp_path)
    with (tmp_path / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "low"]
    write_rows(tmp_path, [{**row, "text": f"unheard {row['text']}"} for row in rows])
    config = load_with_preset(
        tmp_path / "config.toml", [f"transfer.bundle={toy_bundle.path}", "transfer.whole=true"]
    ).config
    prepared = prepare(config)
    assert [task.labels for task in prepared.tasks] == [task.labels for task in toy_bundle.tasks]
    assert prepared.assets["text"].files() == toy_bundle.assets["text"].files()
    model, reading = build_model(prepared), (prepared.config.spec, prepared.assets)
    transfer = transfer_weights(model, *reading, prepared.tasks, toy_bundle, whole=True)
    assert fresh_parts(transfer) == {f"heads.{task.name}" for task in toy_bundle.tasks}
    expected = load_file(toy_bundle.path / WEIGHTS_FILE)
    network = {name: tensor for name, tensor in model.state_dict().items() if not solved_for(name)}
    assert all(torch.equal(expected[name], tensor) for name, tensor in network.items())


@pytest.mark.parametrize(
    ("override", "differs"),
    [
        ("model.width=24", "attention.kind, .*fusion"),
        ('tasks.kind.labels=["low","high"]', r"heads\.kind;"),
        ("tasks.more={column='kind'}", r"attention\.more, heads\.more;"),
    ],
)
def test_the_whole_of_a_bundle_is_refused_where_the_network_is_another(
    toy_bundle: Bundle, override: str, differs: str
) -> None:
    source = [f"transfer.bundle={toy_bundle.path}", "transfer.whole=true", override]
    prepared = prepare(load_with_preset(table_folder(toy_bundle) / "config.toml", source).config)
    model, reading = build_model(prepared), (prepared.config.spec, prepared.assets)
    with pytest.raises(ConfigError, match=f"and this model differ in {differs}"):
        transfer_weights(model, *reading, prepared.tasks, toy_bundle, whole=True)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ('data.audio=""', "reads text and image and audio; the columns in data are of text and image"),
        ("preprocess.image.height=32", r"preprocess\.image\.height: another value than that of "),
    ],
)
def test_the_whole_of_a_bundle_is_refused_where_media_are_read_otherwise(
    toy_bundle: Bundle, override: str, sentence: str
) -> None:
    source = [f"transfer.bundle={toy_bundle.path}", "transfer.whole=true", override]
    config = load_with_preset(table_folder(toy_bundle) / "config.toml", source).config
    with pytest.raises(ConfigError, match=sentence):
        prepare(config)


def test_the_whole_of_nothing_is_refused(toy_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="whole needs bundle"):
        load_config(table_folder(toy_bundle) / "config.toml", ["transfer.whole=true"])


def test_weights_that_stayed_behind_are_asked_for(toy_bundle: Bundle, tmp_path: Path) -> None:
    [light] = pull_bundles(str(toy_bundle.path), tmp_path, Terms(weights=False))
    with pytest.raises(BundleError, match=r"holds no weights\.safetensors to start from"):
        transfer_weights(torch.nn.Linear(1, 1), SPEC, {}, (), read_bundle(light))


def test_a_bundle_says_what_it_started_from_without_a_path_of_the_machine(toy_bundle: Bundle) -> None:
    source = f"transfer.bundle={toy_bundle.path}"
    config = load_config(table_folder(toy_bundle) / "config.toml", [source])
    assert config.portable()["transfer"] == {"bundle": "toy/1", "whole": False}
    relative = load_config(table_folder(toy_bundle) / "config.toml", ["transfer.bundle=../models/toy/1"])
    assert relative.transfer.bundle == toy_bundle.path


def test_a_bundle_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no weights\.safetensors to start from"):
        transfer_weights(torch.nn.Linear(1, 1), SPEC, {}, (), read_bundle(write_tiny_bundle(tmp_path)))


def test_a_bundle_of_which_nothing_fits_is_refused(toy_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"no weight of .* fits"):
        transfer_weights(torch.nn.Linear(1, 1), SPEC, {}, (), toy_bundle)
