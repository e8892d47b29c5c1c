"""The page on several machines names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from triad_serving.cli import app
from triad_serving.settings import Settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/scale.md").read_text(encoding="utf-8")


def test_its_settings_exist() -> None:
    assert {
        name.lower() for name in re.findall(r"TRIAD_([A-Z_]+[A-Z])\b", PAGE)
    } <= Settings.model_fields.keys()


def test_its_commands_take_the_options_that_it_gives_them() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {"deploy ray": commands["deploy"].commands["ray"], "predict": commands["predict"]}
    used = re.findall(r"triad (deploy ray|predict)((?: --[a-z-]+(?: [^-\s`#]\S*)?)+)", PAGE)
    assert {name for name, _ in used} == known.keys()
    for name, options in used:
        there = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= there


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)", PAGE))
def test_its_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
