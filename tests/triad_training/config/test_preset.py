from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES
from triad_training.config.preset import flat, merged, summary, with_preset
from triad_training.config.reading import parse_config, read_document
from triad_training.config.train_config import TrainConfig
from triad_training.media.preset import PRESETS, Options

MINIMAL: Options = {"name": "toy", "data": {"table": "t.csv"}, "tasks": {"kind": {}}}
# Rows that each example trains on; none of what it prints may depend on a preset.
LEFT_OPEN = {EXAMPLES / "xray/config.toml"}  # to the default preset, on purpose
TRAINED = {"digits": 20_000, "emotion": 347, "fields": 341, "headlines": 8987, "tridigits": 9000, "xray": 367}
NO_RESULT = {"optim.workers"}  # changes how fast a run is, and nothing else


def fill(document: Options, rows: int) -> tuple[TrainConfig, Options]:
    config = parse_config(document, Path("config.toml"))
    filled, chosen = with_preset(document, config, [{"text": "a word"}] * rows)
    return parse_config(filled, Path("config.toml")), chosen


def value_of(config: TrainConfig, option: str) -> object:
    value: object = config
    for part in option.split("."):
        value = getattr(value, part)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("rows", [0, 499, 500, 3_000, 20_000])
def test_a_filled_config_is_one_and_holds_every_choice(preset: str, rows: int) -> None:
    config, chosen = fill(MINIMAL | {"preset": preset}, rows)
    assert all(value_of(config, option) == value for option, value in flat(chosen))


def test_what_is_set_stays_and_more_rows_get_a_wider_network_and_fewer_epochs() -> None:
    few, _ = fill(MINIMAL, 100)
    many, _ = fill(MINIMAL, 50_000)
    assert few.model.width < many.model.width
    assert few.optim.epochs > many.optim.epochs
    own = MINIMAL | {"optim": {"epochs": 3}, "model": {"dropout": 0.7}}
    config, chosen = fill(own, 100)
    assert (config.optim.epochs, config.model.dropout) == (3, 0.7)
    assert "epochs" not in chosen["optim"]


def test_a_transcript_is_learnt_in_many_steps() -> None:
    spoken, _ = fill(MINIMAL | {"tasks": {"words": {"type": "transcript"}}}, 5_000)
    assert spoken.optim.batch_size == 16
    assert fill(MINIMAL, 5_000)[0].optim.batch_size == 64


def test_options_that_fit_each_other_are_set_together_or_not_at_all() -> None:
    own = MINIMAL | {"model": {"heads": 6}, "preprocess": {"image": {"height": 112}}}
    config, _ = fill(own, 100)
    assert config.model.width == 96
    assert (config.preprocess.image.width, config.preprocess.image.rows) == (56, 7)


def test_a_medium_without_a_column_gets_no_options() -> None:
    document = MINIMAL | {"data": {"table": "t.csv", "image": "", "audio": ""}}
    _, chosen = fill(document, 100)
    assert [option for option, _ in flat(chosen) if "image" in option or "audio" in option] == []


def test_the_order_of_cost_is_fast_default_best() -> None:
    fast, default, best = (fill(MINIMAL | {"preset": preset}, 1000)[0] for preset in PRESETS)
    assert fast.optim.epochs < default.optim.epochs < best.optim.epochs
    assert fast.model.width < default.model.width < best.model.width
    assert not fast.augment.media
    assert default.augment.media < best.augment.media


def test_the_summary_says_what_set_would() -> None:
    _, chosen = fill(MINIMAL, 100)
    said = summary("default", 100, chosen)
    assert said.startswith("preset default, 100 training rows (tiny): optim.epochs=40, ")
    assert "model.width=48" in said
    assert summary("fast", 100, {}).endswith("everything is set")


def test_merging_keeps_both_documents_as_they_were() -> None:
    document: Options = {"model": {"width": 8}}
    assert merged(document, {"model": {"width": 9, "heads": 2}, "name": "x"}) == {
        "model": {"width": 8, "heads": 2},
        "name": "x",
    }
    assert document == {"model": {"width": 8}}


@pytest.mark.parametrize("folder", sorted(TRAINED))
def test_no_preset_changes_what_an_example_does(folder: str) -> None:
    for path in sorted(set((EXAMPLES / folder).glob("*.toml")) - LEFT_OPEN):
        document = read_document(path)
        written = parse_config(document, path)
        filled, chosen = with_preset(document, written, [{}] * TRAINED[folder])
        config = parse_config(filled, path)
        changed = [o for o, _ in flat(chosen) if value_of(config, o) != value_of(written, o)]
        assert set(changed) <= NO_RESULT, path
