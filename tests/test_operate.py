"""The page for operators says what is there, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from triad_serving.cli import app
from triad_serving.engine.engine import Engine
from triad_serving.http.metrics import Metrics
from triad_serving.settings import Settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/operate.md").read_text(encoding="utf-8")


def test_every_metric_is_explained(tiny_bundle: Path) -> None:
    told = set(re.findall(r"^\| `(triad_\w+)` \|", PAGE, re.MULTILINE))
    exposed = bytes(Metrics(Engine.open(tiny_bundle)).expose().body).decode()
    known = {name for name in re.findall(r"^# TYPE (\w+) ", exposed, re.MULTILINE) if "_created" not in name}
    assert told == known | {"triad_gpu_memory_bytes"}


def test_every_alert_says_what_to_do() -> None:
    alerts = yaml.safe_load((ROOT / "examples/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    assert set(re.findall(r"\*\*(Triad\w+)\*\*", PAGE)) == {alert["alert"] for alert in alerts}


def test_every_setting_and_command_that_it_names_exists() -> None:
    names = set(re.findall(r"TRIAD_([A-Z_]+[A-Z])\b", PAGE)) - {"KEY", "MAX"}
    assert names <= {name.upper() for name in Settings.model_fields}
    commands = set(re.findall(r"`?\btriad ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`|^\$.*$", PAGE, re.M))))
    assert commands <= set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert {"serve", "key", "sign"} <= commands


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)", PAGE))
def test_its_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
