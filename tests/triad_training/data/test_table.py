from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from tests.conftest import png_bytes
from tests.triad_training.conftest import write_rows
from triad_serving.contract.errors import ConfigError, TableError
from triad_serving.contract.tasks import Task
from triad_training.config.reading import load_config
from triad_training.config.train_config import TaskConfig
from triad_training.data.labels import symbols, targets, tokens_needed
from triad_training.data.table import Table, read_table


def read(folder: Path, *overrides: str) -> Table:
    return read_table(load_config(folder / "config.toml", overrides))


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_good_table_is_read_whole(toy_folder: Path) -> None:
    table = read(toy_folder)
    assert [len(table.split(name)) for name in ("train", "validation", "test")] == [64, 16, 20]
    kind, tags, size = table.tasks
    assert kind.labels == ("high", "low")
    assert kind.prior == (0.5, 0.5)
    assert tags.labels == ("big", "light")
    assert tags.prior == (0.5, 0.5)
    assert size.labels == ()
    assert size.prior == pytest.approx((125.0,), abs=2)


def test_an_empty_cell_is_an_absent_medium_or_a_missing_label(toy_folder: Path) -> None:
    examples = read(toy_folder).examples
    assert examples[4].media == ("image", "audio")
    assert examples[9].media == ("text", "audio")
    assert "size" not in examples[3].labels
    assert examples[1].labels["tags"] == ";"


def test_csv_json_lines_and_parquet_hold_the_same_table(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    (toy_folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), toy_folder / "t.parquet")
    expected = [(e.text, e.image, e.labels) for e in read(toy_folder).examples]
    for name in ("t.jsonl", "t.parquet"):
        found = read(toy_folder, f"data.table={name}").examples
        assert [(e.text, e.image, e.labels) for e in found] == expected


def test_all_problems_are_listed_at_once_with_their_lines(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    (toy_folder / "broken.png").write_bytes(png_bytes(64, 64)[:60])
    (toy_folder / "not.wav").write_bytes(b"hello")
    rows[0]["image_file_name"] = "nowhere.png"
    rows[1]["image_file_name"] = "broken.png"
    rows[2]["audio_file_name"] = "not.wav"
    rows[3]["split"] = "holdout"
    rows[5].update(text=" ", image_file_name="", audio_file_name="")
    rows[70]["kind"] = "purple"
    rows[71]["tags"] = "light;heavy"
    rows[72]["size"] = "large"
    rows[73]["size"] = "inf"
    rows[90]["image_file_name"] = rows[10]["image_file_name"]
    write_rows(toy_folder, rows)
    with pytest.raises(TableError) as caught:
        read(toy_folder)
    said = "\n".join(caught.value.problems)
    for expected in (
        "line 2: image",
        "No such file",
        "line 3: image",
        "line 4: audio",
        "line 5: unknown split 'holdout'",
        "line 7: no text, no image, no audio",
        "line 72: kind: unknown label 'purple'; the training rows name high, low",
        "line 73: tags: unknown label 'heavy'",
        "line 74: size: 'large' is not a finite number",
        "line 75: size: 'inf' is not a finite number",
        "line 92: its image is in the test split and, at line 12, in the train split",
    ):
        assert expected in said
    assert len(caught.value.problems) == 10


def test_a_copy_of_an_image_in_another_split_is_found_by_content(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    (toy_folder / "copy.png").write_bytes((toy_folder / rows[0]["image_file_name"]).read_bytes())
    rows[85]["image_file_name"] = "copy.png"
    write_rows(toy_folder, rows)
    with pytest.raises(TableError, match="line 87: its image is in the test split"):
        read(toy_folder)


def test_texts_alone_that_stand_in_two_splits_are_warned_of(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    rows += [{"text": "only words", "split": split, "kind": "high"} for split in ("train", "test", "test")]
    write_rows(toy_folder, rows)
    warned = [warning for warning in read(toy_folder).warnings if "2 rows of text alone" in warning]
    assert len(warned) == 1
    assert "at line 103 (the test split) as at line 102" in warned[0]


def test_another_split_is_left_alone_where_the_config_names_it(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    rows[3]["split"] = "holdout"
    write_rows(toy_folder, rows)
    with pytest.raises(TableError, match=r"unknown split 'holdout'.*data\.more_splits"):
        read(toy_folder)
    table = read(toy_folder, 'data.more_splits=["holdout"]')
    assert [example.line for example in table.split("holdout")] == [5]


def test_a_specialist_reads_its_media_and_leaves_out_the_rows_without(toy_folder: Path) -> None:
    config = load_config(toy_folder / "config.toml", subset="text+image")
    assert config.name == "toy-text-image"
    assert config.spec.media == ("text", "image")
    whole, part = read(toy_folder), read_table(load_config(toy_folder / "config.toml", subset="image"))
    assert {example.media for example in part.examples} == {("image",)}
    assert [e.line for e in part.examples] == [e.line for e in whole.examples if e.image]
    with pytest.raises(ConfigError, match="subset"):
        load_config(toy_folder / "config.toml", subset="text+smell")


def test_a_table_without_rows_is_refused(toy_folder: Path) -> None:
    write_rows(toy_folder, [])
    with pytest.raises(TableError, match="holds no rows"):
        read(toy_folder)


def test_a_sound_in_the_column_of_images_is_refused_there_too(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    rows[0]["image_file_name"] = rows[0]["audio_file_name"]
    write_rows(toy_folder, rows)
    with pytest.raises(TableError, match=r"line 2: image: .*Not an image"):
        read(toy_folder)


def test_a_split_without_rows_is_refused(toy_folder: Path) -> None:
    write_rows(toy_folder, [row for row in rows_of(toy_folder) if row["split"] != "val"])
    with pytest.raises(TableError, match="no row is in the validation split"):
        read(toy_folder)


def test_a_task_without_labels_is_refused(toy_folder: Path) -> None:
    write_rows(toy_folder, [row | {"kind": "", "size": ""} for row in rows_of(toy_folder)])
    with pytest.raises(TableError) as caught:
        read(toy_folder)
    assert "metadata.csv: size: no training row is labelled" in caught.value.problems
    assert "metadata.csv: kind: no training row is labelled" in caught.value.problems


@pytest.mark.parametrize(
    ("column", "label", "said"),
    [("kind", "high", "names one label; two are needed"), ("tags", ";", "names no label")],
)
def test_a_task_with_too_few_labels_is_refused(toy_folder: Path, column: str, label: str, said: str) -> None:
    write_rows(toy_folder, [row | {column: label} for row in rows_of(toy_folder)])
    with pytest.raises(TableError, match=said):
        read(toy_folder)


def test_a_missing_column_is_named(toy_folder: Path) -> None:
    with pytest.raises(TableError, match="no column 'caption'"):
        read(toy_folder, "data.text=caption")


def test_targets_are_indices_values_and_tags() -> None:
    kind = Task(name="k", type="classification", labels=("a", "b"))
    assert np.array_equal(targets(kind, TaskConfig(), ["b", None, "a"]), [1, math.nan, 0], equal_nan=True)
    size = Task(name="s", type="regression")
    assert np.array_equal(targets(size, TaskConfig(), ["1.5", None]), [1.5, math.nan], equal_nan=True)
    tags = Task(name="t", type="multilabel", labels=("x", "y"))
    expected = [[1, 1], [0, 0], [math.nan, math.nan]]
    bars = TaskConfig(separator="|")
    assert np.array_equal(targets(tags, bars, ["y | x", "|", None]), expected, equal_nan=True)


def test_a_transcripts_target_is_its_symbols_padded_with_blanks() -> None:
    said = Task(name="s", type="transcript", labels=("four", "one"))
    words = targets(said, TaskConfig(type="transcript"), ["one four  one", "one", None, "six"])
    expected = [[2, 1, 2], [2, 0, 0], [math.nan] * 3, [3, 0, 0]]  # 3: none that is known
    assert np.array_equal(words, expected, equal_nan=True)
    assert symbols(words[0]).tolist() == [2, 1, 2]
    letters = Task(name="s", type="transcript", labels=("a", "b"), joiner="")
    config = TaskConfig(type="transcript", unit="character")
    assert np.array_equal(targets(letters, config, ["ba"]), [[2, 1]])


def test_two_symbols_that_are_alike_need_a_moment_between_them() -> None:
    assert tokens_needed(np.array([1, 2, 2, 2, 1])) == 7
    assert tokens_needed(np.array([], dtype=np.int64)) == 0


def test_a_label_only_in_another_split_is_named_with_its_line(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    rows[90]["kind"] = "purple"
    write_rows(toy_folder, rows)
    with pytest.raises(TableError, match="line 92: kind: unknown label 'purple'; the training rows name"):
        read(toy_folder)
    with pytest.raises(TableError, match="line 2: kind: unknown label 'high'; the config lists low, x"):
        read(toy_folder, 'tasks.kind.labels=["low", "x"]')


def test_a_number_beyond_single_precision_is_refused(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    rows[0]["size"] = "1e39"
    write_rows(toy_folder, rows)
    with pytest.raises(TableError, match="line 2: size: '1e39' is not a finite number of single precision"):
        read(toy_folder)


def test_a_table_without_doubts_has_no_warnings(toy_folder: Path) -> None:
    assert read(toy_folder).warnings == ()


def test_what_can_hardly_be_learnt_is_warned_of(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    rows[5]["kind"] = "purple"
    for row in rows:
        if row["split"] != "train":
            row["size"] = ""
    write_rows(toy_folder, rows)
    found = read(toy_folder, 'tasks.kind.labels=["low", "high", "purple", "green"]').warnings
    assert found == (
        "metadata.csv: kind: label 'purple' has one training row, line 7: too few to learn it",
        "metadata.csv: kind: label 'green' has no training row: it will not be answered",
        "metadata.csv: size: no validation row is labelled: its probabilities are not calibrated",
        "metadata.csv: size: no test row is labelled: it has no score",
    )


def test_a_validation_split_without_any_label_is_refused(toy_folder: Path) -> None:
    unlabelled = {"kind": "", "tags": "", "size": ""}
    write_rows(
        toy_folder, [row | (unlabelled if row["split"] == "val" else {}) for row in rows_of(toy_folder)]
    )
    with pytest.raises(TableError, match="no validation row is labelled, so that no epoch"):
        read(toy_folder)


def test_a_medium_that_no_training_row_has_is_refused(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    write_rows(toy_folder, [row | ({"text": ""} if row["split"] == "train" else {}) for row in rows])
    with pytest.raises(TableError, match=r'no training row has text: set data\.text = "" to leave it out'):
        read(toy_folder)


def test_a_nameless_column_is_no_medium_that_was_left_out(toy_folder: Path) -> None:
    path = toy_folder / "metadata.csv"
    lines = path.read_text("utf-8").splitlines()
    path.write_text(
        "\n".join(["," + lines[0], *(f"{n},{line}" for n, line in enumerate(lines[1:]))]), "utf-8"
    )
    assert {medium for e in read(toy_folder, "data.text=").examples for medium in e.media} == {
        "image",
        "audio",
    }


def test_splits_are_drawn_where_the_table_has_none(toy_folder: Path) -> None:
    rows = rows_of(toy_folder)
    (toy_folder / "copy.png").write_bytes((toy_folder / rows[0]["image_file_name"]).read_bytes())
    rows[50]["image_file_name"] = "copy.png"
    write_rows(toy_folder, rows)
    table = read(toy_folder, "data.split=", "data.shares=[0.6, 0.2, 0.2]")
    assert [len(table.split(name)) for name in ("train", "validation", "test")] == pytest.approx(
        [60, 20, 20], abs=2
    )
    assert table.examples[0].split == table.examples[50].split
    again = read(toy_folder, "data.split=", "data.shares=[0.6, 0.2, 0.2]", "optim.seed=5")
    assert again.examples == table.examples


def test_rows_of_one_group_stay_together_and_are_not_torn_apart(toy_folder: Path) -> None:
    rows = [row | {"tags": f"patient {n // 4}"} for n, row in enumerate(rows_of(toy_folder))]
    rows[99]["tags"] = rows[0]["tags"]
    write_rows(toy_folder, rows)
    drawn = read(toy_folder, "data.split=", "data.group=tags", "tasks={kind={}}").examples
    assert drawn[99].split == drawn[0].split
    assert all(len({e.split for e in drawn[n : n + 4]}) == 1 for n in range(0, 96, 4))
    with pytest.raises(
        TableError, match="line 101: its tags 'patient 0' is in the test split and, at line 2,"
    ):
        read(toy_folder, "data.group=tags", "tasks={kind={}}")
    with pytest.raises(TableError, match="no column 'patient'"):
        read(toy_folder, "data.group=patient")
