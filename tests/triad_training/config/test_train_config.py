from __future__ import annotations

from pathlib import Path

import pytest

from triad_serving.contract.errors import ConfigError
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig

MINIMAL = 'name = "toy"\n[data]\ntable = "t/metadata.csv"\n[tasks.kind]\n'


def write(folder: Path, text: str = MINIMAL) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_field_but_name_table_and_tasks_has_a_default(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert config.version == "1"
    assert config.spec.media == ("text", "image", "audio")
    assert config.tasks["kind"].type == "classification"


def test_the_table_lies_relative_to_the_config(tmp_path: Path) -> None:
    assert load_config(write(tmp_path)).data.table == (tmp_path / "t/metadata.csv").resolve()


@pytest.mark.parametrize(
    ("override", "expected"),
    [("optim.epochs=3", 3), ("optim.epochs = 4", 4)],
)
def test_an_override_replaces_a_number(tmp_path: Path, override: str, expected: int) -> None:
    assert load_config(write(tmp_path), [override]).optim.epochs == expected


def test_an_override_may_be_a_bare_word_or_make_a_section(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), ["name=other", "tasks.size.type=regression", "data.audio="])
    assert config.name == "other"
    assert config.tasks["size"].type == "regression"
    assert config.spec.media == ("text", "image")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optim.epochs", "expected section.key=value"),
        ("optim.epochs=0", r"optim\.epochs: .* greater than or equal to 1, not 0\.$"),
        ("optim.epoch=3", r"there is no option optim\.epoch\.$"),
        ("optim.learning_rate=nan", r"optim\.learning_rate: .* finite number, not nan\.$"),
        ("data={}", r"data\.table is missing\.$"),
        ("data.shares=[0.9, 0.2, 0.1]", "shares must be above 0 and sum to 1, not 0.9, 0.2, 0.1"),
        ("preprocess.text.max_tokens=0", r"preprocess\.text: max_tokens must be above 0, not 0\.$"),
        ("preprocess.image.rows=-1", "rows must be above 0, not -1"),
        ("preprocess.audio={max_s=300}", "makes 7500 tokens of 0.04 s, and at most 2048 .*frames_per_token"),
        ("preprocess.audio={max_s=0.01}", "max_s is 80 samples, less than the window of 200"),
        ("preprocess.text.tokens=3", r"there is no option preprocess\.text\.tokens"),
        ("model.mels=102", r"config\.toml: model\.mels: at most 101 with this"),
        ("augment.image.contrast=[2, 1]", r"augment\.image\.contrast: the range begins at 2"),
        ("augment.audio.speed=[0, 1]", r"augment\.audio\.speed\.0: .* greater than 0, not 0"),
        ("name.x=1", "name is not a section"),
        ("name=Not Allowed", "name"),
        ("model.width=10", "divisible"),
        ("tasks.kind.type=ranking", "tasks.kind.type"),
        ("tasks.size={type='regression', labels=['a']}", "a regression has no labels"),
        ("augment.image.invert=1.5", "augment.image.invert"),
        ("augment.image.scale=[1.2, 0.8]", "augment.image.scale: .*begins at 1.2, above its end 0.8"),
        ("tasks={}", "tasks: at least one, or optim.contrast above 0"),
        ("augment.image.crop=[0, 1]", "augment.image.crop"),
        ("augment.audio.noise_folder=n", "augment.audio: .*noise_folder needs noise_snr_db"),
    ],
)
def test_an_impossible_value_is_refused_by_name(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path), [override])


def test_a_model_that_reads_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        load_config(write(tmp_path), ["data.text=", "data.image=", "data.audio="])


@pytest.mark.parametrize("text", ["name = ", "\ufffe"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_a_saved_config_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


def test_only_a_space_of_several_media_needs_no_task(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("[tasks.kind]\n", "[optim]\ncontrast = 1\n"))
    assert load_config(path).tasks == {}
    with pytest.raises(ConfigError, match=r"optim\.contrast: needs two media"):
        load_config(path, ["data.text=", "data.audio="])
