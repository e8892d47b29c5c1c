from __future__ import annotations

import csv
import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from triad_serving.contract.errors import ConfigError, TableError
from triad_training.config.reading import load_config
from triad_training.inspection.document import init, name_of
from triad_training.media.registry import MEDIA

ROWS = 60


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """A table with everything that is looked for: media, fields, labels, a group; no column of splits."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(ROWS):
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(tmp_path / f"{n}.png")
        soundfile.write(tmp_path / f"{n}.wav", rng.normal(size=16_000 + 100 * n) / 9, 16_000)
        kind = "rare" if n % 30 == 7 else ("common", "usual")[n % 2]
        rows.append(
            {
                "ticket_id": f"T-{n:05}",
                "body": f"The thing number {n} does not work since yesterday.",
                "photo": f"{n}.png",
                "voice": f"{n}.wav",
                "customer": f"c{n % 15}",
                "age": str(n * 7 % 50),
                "kind": kind,
                "kind_code": {"common": "C", "usual": "U", "rare": "R"}[kind],
                "topics": ("red|blue", "blue", "|")[n % 3],
                "price": f"{n * 1.5:.1f}",
                "gross": f"{n * 1.8:.2f}",
                "currency": "EUR",
            }
        )
    with (tmp_path / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "metadata.csv"


def test_the_config_loads_and_names_every_column_rightly(tickets: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "config.toml"
    out.parent.mkdir()
    said = init(tickets, out)
    config = load_config(out)
    data = config.data
    assert data.table == tickets
    assert (data.text, data.image, data.audio, data.split, data.group) == (
        "body",
        "photo",
        "voice",
        "",
        "customer",
    )
    assert data.fields.names == ("age",)
    types = {name: task.type for name, task in config.tasks.items()}
    assert types == {"kind": "classification", "topics": "multilabel", "price": "regression"}
    assert config.tasks["topics"].separator == "|"
    assert config.tasks["kind"].imbalance == "weights"
    assert "ticket_id" in said
    assert config.spec.media == tuple(medium.serving.name for medium in MEDIA)


def test_every_choice_has_a_reason(tickets: Path, tmp_path: Path) -> None:
    out = tmp_path / "config.toml"
    init(tickets, out)
    lines = out.read_text(encoding="utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith(("name", "table", "#", "    ")):
            assert "# " in line or before.startswith("# "), line
    text = "\n".join(lines)
    assert "# not used, another value in every row: it names the row: ticket_id" in text
    assert "# not used, says the same in every row: currency" in text
    assert "# not used, says the same as kind, in other words: kind_code" in text
    assert '# fields.numeric = ["gross"]' in text  # price follows from it
    assert max(map(len, lines)) <= 120


def test_sizes_are_those_of_the_media(tickets: Path, tmp_path: Path) -> None:
    init(tickets, tmp_path / "config.toml")
    config = load_config(tmp_path / "config.toml")
    image, audio = config.preprocess.image, config.preprocess.audio
    assert (image.height, image.width, image.rows, image.columns) == (64, 64, 4, 4)
    assert audio.sample_rate_hz == 16_000
    assert audio.max_s == 1.5  # the longest of 21 900 samples has 1.37 s
    assert config.preprocess.text.max_tokens == 16


def test_named_targets_are_the_tasks_and_the_rest_is_read(tickets: Path, tmp_path: Path) -> None:
    out = tmp_path / "config.toml"
    init(tickets, out, targets=["price"], preset="fast")
    config = load_config(out)
    assert list(config.tasks) == ["price"]
    assert config.preset == "fast"
    assert set(config.data.fields.names) == {"age", "kind", "kind_code", "topics"}
    assert "is a guess" not in out.read_text(encoding="utf-8")


def test_a_column_of_splits_is_used_and_labels_outside_training_are_listed(tmp_path: Path) -> None:
    lines = ["text,part,fold,class"]
    lines += [
        f"row {n} has these words,{('train', 'train', 'dev', 'test')[n % 4]},train,{'ab'[n % 3 // 2]}"
        for n in range(40)
    ]
    lines += [f"one more row {n} for the test,test,test,z" for n in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    init(tmp_path / "t.csv", tmp_path / "config.toml")
    config = load_config(tmp_path / "config.toml")
    assert config.data.split == "part"
    assert config.tasks["class"].labels == ("a", "b", "z")
    assert "no training row has z" in (tmp_path / "config.toml").read_text(encoding="utf-8")


def test_media_without_anything_to_answer_shall_find_each_other(tickets: Path, tmp_path: Path) -> None:
    with tickets.open(encoding="utf-8", newline="") as file:
        rows = [[row["body"], row["photo"]] for row in csv.DictReader(file)]
    with (tmp_path / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["caption", "photo"], *rows])
    said = init(tmp_path / "pairs.csv", tmp_path / "config.toml")
    config = load_config(tmp_path / "config.toml")
    assert (config.tasks, config.optim.contrast) == ({}, 1.0)
    assert (config.data.text, config.data.image) == ("caption", "photo")
    assert "answers  nothing: it embeds" in said


def test_other_splits_are_tested_on_too(tmp_path: Path) -> None:
    parts = ("train", "train", "dev", "test", "night")
    lines = [f"row {n} has these words,{parts[n % 5]},{'ab'[n % 3 // 2]}" for n in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["text,split,class", *lines]) + "\n", encoding="utf-8")
    init(tmp_path / "t.csv", tmp_path / "config.toml")
    config = load_config(tmp_path / "config.toml")
    assert (config.data.split, config.data.more_splits) == ("split", ("night",))
    assert list(config.tasks) == ["class"]


def test_what_is_said_in_sounds_is_a_transcript(tickets: Path, tmp_path: Path) -> None:
    init(tickets, tmp_path / "config.toml", targets=["body"])
    config = load_config(tmp_path / "config.toml")
    task = config.tasks["body"]
    assert (task.type, task.unit, config.data.text, config.data.audio) == ("transcript", "word", "", "voice")
    audio = config.preprocess.audio
    assert audio.max_s == 1.5
    assert audio.hop * audio.frames_per_token == 0.032 * audio.sample_rate_hz


def test_prose_beside_sounds_is_a_transcript_where_there_is_nothing_else_to_learn(tmp_path: Path) -> None:
    lines = ["path,sentence"]
    for n in range(ROWS):
        soundfile.write(tmp_path / f"{n}.wav", np.zeros(8000 + n), 8000)
        lines.append(f"{n}.wav,{' '.join(f'word{n * k}' for k in range(1, 5))}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    init(tmp_path / "t.csv", tmp_path / "config.toml")
    config = load_config(tmp_path / "config.toml")
    task = config.tasks["sentence"]
    assert (task.type, task.unit, config.data.text, config.data.audio) == (
        "transcript",
        "character",
        "",
        "path",
    )
    assert "is a guess" in (tmp_path / "config.toml").read_text(encoding="utf-8")


def test_no_file_is_overwritten_and_no_target_made_up(tickets: Path, tmp_path: Path) -> None:
    out = tmp_path / "config.toml"
    with pytest.raises(ConfigError, match="--target: the table has no column 'mood'; it has ticket_id, "):
        init(tickets, out, targets=["mood"])
    with pytest.raises(ConfigError, match="--target ticket_id: 60 different values in 60 rows"):
        init(tickets, out, targets=["ticket_id"])
    assert not out.exists()
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already; name another file with --out"):
        init(tickets, out)
    assert out.read_text(encoding="utf-8") == "mine"


def test_a_table_without_rows_or_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(TableError, match="holds no rows"):
        init(tmp_path / "t.csv", tmp_path / "config.toml")
    (tmp_path / "t.csv").write_text("text\nsome words and more\nother words and more\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="name one with --target"):
        init(tmp_path / "t.csv", tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sales/metadata.csv", "sales"),
        ("sales/Bad Weather.jsonl", "bad-weather"),
        ("data/train.parquet", "model"),
        ("x/销售.csv", "x"),
    ],
)
def test_a_run_is_called_as_its_table_or_folder(path: str, name: str) -> None:
    assert name_of(Path("/somewhere") / path) == name


def test_names_that_toml_must_quote_are_quoted(tmp_path: Path) -> None:
    lines = ['text,"the ""mood"" 2",size'] + [f"words of row {n} here,{'ab'[n % 2]},{n}" for n in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    init(tmp_path / "t.csv", tmp_path / "config.toml")
    document = tomllib.loads((tmp_path / "config.toml").read_text(encoding="utf-8"))
    assert document["tasks"]["the_mood_2"]["column"] == 'the "mood" 2'
