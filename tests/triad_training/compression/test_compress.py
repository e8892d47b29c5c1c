"""`triad compress`: a new version that serves as the old one did, or nothing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.triad_training.compression.test_compare import blinded
from tests.triad_training.conftest import table_folder
from triad_serving import cli
from triad_serving.contract.errors import ConfigError, TableError
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Classification
from triad_serving.inference.bundle import INT8_FILE, WEIGHTS_FILE, Bundle, read_bundle
from triad_serving.inference.options import Options
from triad_serving.media.example import RawInputs
from triad_training.compression import compare, compress
from triad_training.compression.compress import Recipe, compress_bundle
from triad_training.network.rebuild import rebuild_network


def table(bundle: Bundle) -> Path:
    return table_folder(bundle) / "metadata.csv"


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are asserted in test_compare.py."""
    monkeypatch.setattr(compare, "ROUNDS", 1)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command line's exit code."""
    monkeypatch.setattr(sys, "argv", ["triad", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_writes_a_version_that_is_served(
    toy_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("compress", toy_bundle.path, "--out", tmp_path, "--table", table(toy_bundle))
    assert run(monkeypatch, *arguments, "--int8", "static", "--max-drop", "10") == 0
    printed = capsys.readouterr().out
    made = read_bundle(tmp_path / "toy" / "2")
    assert f"written to {made.path}" in printed
    compression = made.manifest.compression
    assert compression is not None
    assert compression.original == "toy 1"
    assert compression.original_sha256 == toy_bundle.manifest.files["model.onnx"]
    assert compression.steps == ("int8 static",)
    assert compression.size == made.model_path.stat().st_size / toy_bundle.model_path.stat().st_size
    assert "## Compression\n\nint8 static, of toy 1." in (made.path / "MODEL_CARD.md").read_text("utf-8")
    assert WEIGHTS_FILE not in made.manifest.files
    raw = RawInputs(text="明亮 day", image=(table_folder(toy_bundle) / "0.png").read_bytes())
    with Engine.open(toy_bundle.path) as before, Engine.open(tmp_path) as after:
        old, new = (each.predict_sync(raw, Options()).predictions["kind"] for each in (before, after))
    assert isinstance(old, Classification)
    assert isinstance(new, Classification)
    assert new.label == old.label == "high"
    assert new.probability == pytest.approx(old.probability, abs=0.05)


def test_a_loss_past_the_limit_is_refused_and_nothing_is_written(
    toy_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compress, "convert_to_half", blinded)
    arguments = ("compress", toy_bundle.path, "--out", tmp_path / "out", "--table", table(toy_bundle))
    assert run(monkeypatch, *arguments, "--fp16") == 2
    printed = capsys.readouterr()
    assert "| graph, MB |" in printed.out
    assert "Nothing written: fp16 loses" in printed.err
    assert "at most 0.5 is allowed." in printed.err
    assert not (tmp_path / "out").exists()


def test_steps_are_taken_in_order_and_each_is_measured(
    toy_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distilled, pruned, and of that 8 bits; without the last, the weights stay to go on with."""
    monkeypatch.chdir(tmp_path)
    student = tmp_path / "small.toml"
    student.write_text("[model]\nwidth = 8\n[optim]\nepochs = 2\n")
    recipe = Recipe(distill=student, prune=0.3, int8="static")
    made = compress_bundle(toy_bundle.path, table(toy_bundle), recipe, out=tmp_path)
    names = ["original", "distilled as small", "pruned by 0.3", "int8 static"]
    assert [variant.name for variant in made.comparison.variants] == names
    original, *smaller = [variant.size for variant in made.comparison.variants]
    assert max(smaller) < original
    assert made.manifest.parameters < toy_bundle.manifest.parameters
    assert WEIGHTS_FILE not in made.files
    plain = compress_bundle(toy_bundle.path, table(toy_bundle), Recipe(prune=0.3), out=tmp_path)
    bundle = plain.write(max_drop=100)
    network = rebuild_network(bundle)
    assert sum(p.numel() for p in network.parameters()) == bundle.manifest.parameters


def test_versions_are_counted_on(toy_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(toy_bundle.path, tmp_path / "toy" / "7")
    made = compress_bundle(toy_bundle.path, table(toy_bundle), Recipe(fp16=True), out=tmp_path, limit=4)
    assert made.destination == tmp_path / "toy" / "8"
    assert made.comparison.result.scores["text"]["kind"]["examples"] <= 4
    assert json.loads(made.manifest.model_dump_json())["compression"]["steps"] == ["fp16"]


def test_8_bits_stand_beside_the_original(toy_bundle: Bundle, tmp_path: Path) -> None:
    recipe = Recipe(int8="dynamic", beside=True)
    made = compress_bundle(toy_bundle.path, table(toy_bundle), recipe, out=tmp_path, limit=4)
    bundle = made.write(max_drop=100)
    before, after = toy_bundle.manifest, bundle.manifest
    assert after.version == "2"
    assert {name: after.files[name] for name in before.files if name != "MODEL_CARD.md"} == {
        name: digest for name, digest in before.files.items() if name != "MODEL_CARD.md"
    }
    assert (after.metrics, after.compression) == (before.metrics, None)
    assert after.int8 is not None
    assert after.int8.steps == ("int8 dynamic",)
    old, new = ((each.path / "MODEL_CARD.md").read_text("utf-8") for each in (toy_bundle, bundle))
    assert new.startswith(old.replace("toy, version 1", "toy, version 2"))
    assert "## With 8-bit weights" in new
    again = compress_bundle(bundle.path, table(toy_bundle), Recipe(fp16=True), out=tmp_path, limit=4)
    assert again.manifest.int8 is None
    assert INT8_FILE not in again.files


def test_what_makes_no_sense_is_refused(toy_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Nothing to do"):
        Recipe()
    with pytest.raises(ConfigError, match="choose one"):
        Recipe(int8="static", fp16=True)
    with pytest.raises(ConfigError, match="of --int8 alone"):
        Recipe(int8="static", prune=0.5, beside=True)
    lines = table(toy_bundle).read_text("utf-8").splitlines()
    short = table_folder(toy_bundle) / "untested.csv"
    short.write_text("\n".join(line for line in lines if ",test," not in line), encoding="utf-8")
    with pytest.raises(TableError, match="no row is in the test split"):
        compress_bundle(toy_bundle.path, short, Recipe(int8="dynamic"), out=tmp_path)
