from __future__ import annotations

import csv

import pytest
import torch

from benchmarks.training.__main__ import markdown, part_of
from benchmarks.training.plain import PlainLoop, WholeLoss
from benchmarks.training.run import CONFIG, compare, epochs, stages
from benchmarks.training.table import write_table
from triad_training.config.reading import parse_config, read_document
from triad_training.learning.loop import make_accelerator
from triad_training.learning.prepare import Prepared, build_model, prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("made")
    table = write_table(folder, train=20, validation=10)
    overrides = [f"data.table={table}", f"data.cache={folder}/cache", "optim.workers=0", "model.width=16"]
    document = read_document(CONFIG, [*overrides, "optim.batch_size=10", "optim.epochs=4", "model.heads=2"])
    del document["augment"]["audio"]["noise_folder"]
    return prepare(parse_config(document, CONFIG).with_paths_from(CONFIG.parent))


def test_every_stage_of_training_is_timed(prepared: Prepared) -> None:
    found = stages(prepared, make_accelerator(prepared.config.optim), 1)
    assert {"collate", "forward", "backward", "read from the cache, preprocess"} <= found.keys()
    assert all(seconds >= 0 for seconds in found.values())
    assert found["forward"] > 0


def test_the_trainer_stands_beside_plain_loops(prepared: Prepared) -> None:
    accelerator = make_accelerator(prepared.config.optim)
    found = compare(prepared, accelerator, 1)
    assert found["trainer / plain loop"] == pytest.approx(found["trainer"] / found["plain loop"])
    assert epochs(prepared, accelerator, 1)["examples"] == 20


def test_a_plain_loop_learns(prepared: Prepared) -> None:
    model = build_model(prepared)
    loop = PlainLoop(model, prepared, loss=WholeLoss(model, prepared.tasks))
    first = loop.epoch(0)
    assert min(loop.epoch(epoch) for epoch in (1, 2)) < first


def test_a_part_of_a_table_has_rows_of_each_split(prepared: Prepared) -> None:
    table = prepared.config.data.table
    part = part_of(table, train=3, validation=2)
    with part.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 3 + ["validation"] * 2 + ["test"] * 10


def test_what_was_measured_becomes_tables() -> None:
    epoch = {"s_per_1000": 7.5, "waiting": 0.25, "peak_mb": 900.0, "largest_worker_mb": 300.0}
    page = markdown(
        {
            "stages": {"forward": 3.2, "peak_mb": 900.0, "largest_worker_mb": 0.0},
            "workers": {"2": epoch},
            "compare": {
                "0": {
                    "trainer": 8.0,
                    "plain loop": 7.5,
                    "trainer / plain loop": 1.07,
                    "plain loop, all media together alone": 4.0,
                }
            },
        }
    )
    assert "| forward | 3.20 |" in page
    assert "| 2 | 7.50 | 25% | 900 | 300 |" in page
    assert "| 0 | 8.00 | 7.50 | 1.07 | 4.00 |" in page
