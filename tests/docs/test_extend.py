"""docs/extend.md: its encoder exports and answers alike; its lists of a medium's members are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.docs.pages import DOCS, ROOT, blocks, commands
from tests.triad_training.conftest import make_toy_folder
from triad_serving.inference.session import Session
from triad_serving.media.medium import Medium
from triad_training.config.reading import load_config
from triad_training.learning.prepare import build_model, prepare
from triad_training.media.image.medium import IMAGE
from triad_training.media.medium import TrainingMedium
from triad_training.network.export import export_graph
from triad_training.network.parity import MAX_DRIFT, check_parity, parity_examples

PAGE = (DOCS / "extend.md").read_text(encoding="utf-8")


def test_the_encoder_answers_alike_in_network_and_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    [code] = blocks("extend.md", "python")
    exec(compile(code, "docs/extend.md", "exec"), names)
    encoder = names["PatchEncoder"]
    monkeypatch.setattr(
        type(IMAGE), "build_encoder", lambda _, config, spec, asset: encoder(spec, width=config.model.width)
    )
    torch.set_num_threads(1)
    make_toy_folder(tmp_path)
    config = load_config(tmp_path / "config.toml", ['data.audio=""'])
    prepared = prepare(config)
    model, spec = build_model(prepared).eval(), prepared.config.spec
    assert isinstance(model.encoders["image"], encoder)
    graph = export_graph(model, spec, prepared.tasks)
    session = Session(graph, spec=spec, tasks=prepared.tasks, device="cpu", threads=1)
    assert check_parity(model, session, spec, parity_examples(prepared.validation)) < MAX_DRIFT


@pytest.mark.parametrize(("title", "protocol"), [("Medium", Medium), ("TrainingMedium", TrainingMedium)])
def test_the_list_of_what_to_write_is_that_of_the_protocol(title: str, protocol: type) -> None:
    table = re.search(rf"\[`{title}`\][^|]*((?:\|.*\n)+)", PAGE)
    assert table
    members = {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}
    assert set(re.findall(r"`(\w+)`", table[1])) == members


def test_the_tests_that_it_names_exist() -> None:
    """CI runs them as they are."""
    named = [command for block in blocks("extend.md", "console") for command in commands(block)]
    assert [command.words[0] for command in named] == ["pytest", "pytest"]
    assert all((ROOT / path).exists() for command in named for path in command.words[1:])
