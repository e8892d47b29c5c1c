from __future__ import annotations

from pathlib import Path

from triad_serving.inference.bundle import Bundle
from triad_training.data.preset import load_with_preset, training_rows

CONFIG = 'name = "toy"\n[data]\ntable = "t.csv"\nimage = ""\naudio = ""\n[tasks.kind]\n'


def write(folder: Path, *, rows: int, split: str = "train", more: str = "") -> Path:
    cells = [f"words of row {n},{split if n % 2 else 'test'},a" for n in range(rows)]
    (folder / "t.csv").write_text("\n".join(["text,split,kind", *cells]) + "\n", encoding="utf-8")
    (folder / "config.toml").write_text(CONFIG + more, encoding="utf-8")
    return folder / "config.toml"


def test_only_training_rows_count(tmp_path: Path) -> None:
    chosen = load_with_preset(write(tmp_path, rows=1200, split="Training"))
    assert len(training_rows(chosen.config.data)) == 600
    assert chosen.note.startswith("preset default, 600 training rows (small): ")
    assert chosen.config.optim.epochs == 20


def test_drawn_splits_count_their_share(tmp_path: Path) -> None:
    config, _ = load_with_preset(write(tmp_path, rows=600), ["data.split="])
    assert len(training_rows(config.data)) == 480
    assert config.model.width == 48


def test_set_wins_over_the_preset(tmp_path: Path) -> None:
    path = write(tmp_path, rows=100, more="[optim]\nbatch_size = 7\n")
    config, note = load_with_preset(path, ["optim.epochs=2", "preset=best"])
    assert (config.optim.epochs, config.optim.batch_size, config.model.width) == (2, 7, 64)
    assert note.startswith("preset best, 50 training rows (tiny): optim.learning_rate=")


def test_a_missing_table_is_left_to_the_training(tmp_path: Path) -> None:
    path = write(tmp_path, rows=4)
    (tmp_path / "t.csv").unlink()
    config, note = load_with_preset(path)
    assert (config.model.width, note) == (96, "")


def test_a_network_that_takes_weights_is_as_the_bundle_they_come_from(
    tmp_path: Path, toy_bundle: Bundle
) -> None:
    path = write(tmp_path, rows=2000, more=f"[transfer]\nbundle = '{toy_bundle.path}'\n")
    model = load_with_preset(path).config.model
    assert (model.width, model.heads, model.mels) == (16, 2, 16)
