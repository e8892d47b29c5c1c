"""Tables in, tables out: what a row says, what fails, and going on after a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.conftest import png_bytes, wav_bytes, write_tiny_bundle
from triad_serving.contract.errors import DiskError, SetupError, TableError
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Classification, Multilabel, Regression
from triad_serving.inference.options import Options
from triad_serving.media.example import RawInputs
from triad_serving.scoring.score import Scored, Scoring
from triad_serving.settings import Settings

ROWS: list[dict[str, str]] = [
    {"text": "seven", "image_file_name": "", "audio_file_name": "", "who": "七"},
    {"text": "", "image_file_name": "a.png", "audio_file_name": "", "who": "b"},
    {"text": "three", "image_file_name": "a.png", "audio_file_name": "a.wav", "who": "c"},
    {"text": "", "image_file_name": "none.png", "audio_file_name": "", "who": "d"},
    {"text": "", "image_file_name": "", "audio_file_name": "", "who": "e"},
    {"text": "", "image_file_name": "noise.png", "audio_file_name": "", "who": "f"},
]


def write_table(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def read_table(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png_bytes())
    (tmp_path / "a.wav").write_bytes(wav_bytes(0.1))
    (tmp_path / "noise.png").write_bytes(b"noise")
    return tmp_path


def score(bundle: Path, table: Path, out: Path, *, most: int | None = None, **more: Any) -> Scored | None:
    """most: rows, after which it is left as a kill would leave it."""
    options = more.pop("options", Options())
    with Engine.open(bundle, Settings(models=bundle, threads=2)) as engine:
        scoring = Scoring(engine, table, out, options=options, **more)
        run = scoring.run(2)
        if most is not None:
            for _ in range(most):
                next(run)
            run.close()  # type: ignore[attr-defined]
            return None
        assert sum(1 for _ in run) + scoring.total - scoring.done == scoring.total or scoring.done
        assert scoring.done == scoring.total
        return scoring.write()


@pytest.mark.parametrize("ends", [".csv", ".jsonl", ".parquet"])
def test_a_row_says_what_the_engine_answers(tiny_bundle: Path, folder: Path, ends: str) -> None:
    out = folder / f"out{ends}"
    scored = score(tiny_bundle, write_table(folder / f"table{ends}"), out, keep=["who"])
    assert scored is not None
    assert (scored.answered, scored.failed) == (3, 3)
    row = read_table(out)[2]
    with Engine.open(tiny_bundle) as engine:
        raw = RawInputs(text="three", image=png_bytes(), audio=wav_bytes(0.1))
        answers = engine.predict_sync(raw).predictions
    kind, tags, size = answers["kind"], answers["tags"], answers["size"]
    assert isinstance(kind, Classification)
    assert isinstance(tags, Multilabel)
    assert isinstance(size, Regression)
    assert kind.attention is not None
    first = 2 if ends == ".csv" else 1
    assert list(row)[:4] == ["line", "who", "kind", "kind_probability"]
    assert (int(row["line"]), row["who"], row["kind"]) == (first + 2, "c", kind.label)
    assert row["tags"] == ";".join(tags.labels)
    numbers = {"kind_probability": kind.probability, "size": size.value}
    numbers |= {f"kind_attention_{name}": share for name, share in kind.attention.modalities.items()}
    assert {name: float(row[name]) for name in numbers} == pytest.approx(numbers, abs=1e-4)
    if ends == ".parquet":
        assert [type(row[name]) for name in ("line", "who", "size")] == [int, str, float]


def test_rows_that_fail_are_listed_with_why(tiny_bundle: Path, folder: Path) -> None:
    scored = score(tiny_bundle, write_table(folder / "table.csv"), folder / "out.csv")
    assert scored is not None
    assert scored.failures == folder / "out.csv.failures.jsonl"
    failures = read_table(scored.failures)
    assert [(each["line"], each["problem"], each.get("field")) for each in failures] == [
        (5, "cannot-decode", "image"),
        (6, "nothing-to-predict-from", None),
        (7, "unsupported-format", "image"),
    ]
    assert failures[0]["detail"] == "none.png cannot be read: No such file or directory."
    again = score(tiny_bundle, write_table(folder / "table.csv", ROWS[:3]), folder / "out.csv")
    assert again == Scored(answered=3, failed=0, failures=None)
    assert not scored.failures.exists()


def test_it_goes_on_where_it_was_killed(
    tiny_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = write_table(folder / "table.csv"), folder / "out.csv"
    score(tiny_bundle, table, out, most=4)
    journal = folder / "out.csv.journal"
    assert len(journal.read_bytes().splitlines()) == 1 + 4
    with journal.open("ab") as file:
        file.write(b'{"line": 6, "pro')  # it was killed while it wrote
    asked: list[RawInputs] = []
    real = Engine.predict_sync

    def predict(self: Engine, raw: RawInputs, options: Options) -> Any:
        asked.append(raw)
        return real(self, raw, options)

    monkeypatch.setattr(Engine, "predict_sync", predict)
    scored = score(tiny_bundle, table, out)
    assert len(asked) == 2
    assert scored is not None
    assert (scored.answered, scored.failed) == (3, 3)
    assert [row["line"] for row in read_table(out)] == ["2", "3", "4"]
    assert not journal.exists()


def test_it_does_not_go_on_with_another_table_model_or_columns(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    table, out = write_table(folder / "table.csv"), folder / "out.csv"
    score(tiny_bundle, table, out, most=1)
    other = write_tiny_bundle(tmp_path / "other", version="2")
    changes: list[Callable[[], object]] = [
        lambda: score(other, table, out),
        lambda: score(tiny_bundle, table, out, options=Options(attention="none")),
        lambda: score(tiny_bundle, table, out, keep=["who"]),
        lambda: score(tiny_bundle, write_table(table, ROWS[:3]), out),
    ]
    for change in changes:
        with pytest.raises(SetupError, match="begun with another table, model or options"):
            change()


@pytest.mark.parametrize(
    ("table", "out", "keep", "kind", "said"),
    [
        ("table.csv", "out.txt", [], SetupError, r"not a table that is written \(.csv, .jsonl, .parquet\)"),
        ("table.csv", "none/out.csv", [], DiskError, "cannot be written: No such file"),
        ("table.csv", "out.csv", ["when"], SetupError, "no column 'when' among audio_file_name"),
        (
            "other.csv",
            "out.csv",
            [],
            TableError,
            "none of the columns that the model reads: text, image_file",
        ),
        ("other.csv", "out.csv", ["kind"], SetupError, "have a column 'kind' of their own"),
        ("none.csv", "out.csv", [], TableError, "cannot be read"),
    ],
)
def test_what_cannot_work_is_said_before(
    *,
    tiny_bundle: Path,
    folder: Path,
    table: str,
    out: str,
    keep: list[str],
    kind: type[Exception],
    said: str,
) -> None:
    write_table(folder / "table.csv")
    write_table(folder / "other.csv", [{"kind": "a"}])
    with pytest.raises(kind, match=said):
        score(tiny_bundle, folder / table, folder / out, keep=keep)


def triad(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "triad_serving.cli", *map(str, arguments)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRIAD_")}
    return subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_scores_and_tells_of_failures(tiny_bundle: Path, folder: Path) -> None:
    table, out = write_table(folder / "table.csv"), folder / "out.parquet"
    process = triad("predict", "--model", tiny_bundle, "--table", table, "--out", out, "--jobs", "1")
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == f"3 rows answered: {out}\n"
    assert complained.endswith(f"3 rows failed: {out}.failures.jsonl\n")
    assert len(read_table(out)) == 3
    process = triad("predict", "--table", table, "--out", out, "--text", "seven")
    _, complained = process.communicate(timeout=60)
    assert (process.returncode, "no example of its own" in complained) == (2, True)


def test_a_killed_command_goes_on(tiny_bundle: Path, folder: Path) -> None:
    """Killed while it waits for the sound of row 3, a pipe that nobody writes."""
    rows = [{"text": "seven", "audio_file_name": ""}] * 2 + [{"text": "", "audio_file_name": "pipe.wav"}]
    table, out = write_table(folder / "table.csv", rows), folder / "out.jsonl"
    os.mkfifo(folder / "pipe.wav")
    arguments = ("predict", "--model", tiny_bundle, "--table", table, "--out", out)
    process = triad(*arguments)
    with (folder / "pipe.wav").open("wb"):  # opens when the command reads it
        journal = folder / "out.jsonl.journal"
        while not journal.exists() or len(journal.read_bytes().splitlines()) < 3:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert not out.exists()
    (folder / "pipe.wav").unlink()
    (folder / "pipe.wav").write_bytes(wav_bytes(0.1))
    process = triad(*arguments)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, f"3 rows answered: {out}\n")
    assert [row["kind"] for row in read_table(out)] == ["word", "word", "sound"]
