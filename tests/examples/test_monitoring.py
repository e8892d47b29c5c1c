"""The dashboard and the alerts: they name metrics that there are, and each alert fires on what it is for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples.conftest import EXAMPLES
from triad_serving.engine.engine import Engine
from triad_serving.http.metrics import Metrics

FOLDER = EXAMPLES / "monitoring"
ROOT = EXAMPLES.parent
ALERTS = FOLDER / "alerts.yml"
ON_A_GPU = {"triad_gpu_memory_bytes": {"gpu", "kind"}}  # tested where /metrics is, with a stand-in for a GPU
OF_PROMETHEUS = {"le", "job", "instance"}


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / "grafana/triad.json").read_text())["panels"])


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + shown


@pytest.fixture(scope="module")
def known(tiny_bundle: Path) -> dict[str, set[str]]:
    """Labels of each series that /metrics has."""
    metrics = Metrics(Engine.open(tiny_bundle))
    series: dict[str, set[str]] = dict(ON_A_GPU)
    for name, kind in re.findall(r"^# TYPE (triad_\w+) (\w+)$", bytes(metrics.expose().body).decode(), re.M):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        series |= {name + suffix: set() for suffix in suffixes}
    for collector in metrics._registry._collector_to_names:
        labels = set(collector._labelnames)  # type: ignore[attr-defined]
        for name in metrics._registry._collector_to_names[collector]:
            series.get(name, set()).update(labels)
    series["triad_model_info"] = {"model", "version", "device"}
    return series


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_names_metrics_and_labels_that_there_are(
    known: dict[str, set[str]], expression: str
) -> None:
    named = set(re.findall(r"\btriad_\w+", expression))
    assert named <= known.keys()
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expression)
    selected = re.findall(r"(\w+)=~?\"", expression)
    labels = {label.strip() for group in (*grouped, ",".join(selected)) for label in group.split(",")} - {""}
    assert labels <= set().union(*(known[name] for name in named)) | OF_PROMETHEUS


def test_every_metric_is_on_the_dashboard(known: dict[str, set[str]]) -> None:
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known}
    families -= {name for name in families if name.endswith("_created")}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"triad_\w+", str(panels()))}
    assert shown == families


def test_compose_gives_prometheus_and_grafana_files_that_exist() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mounts = [mount for name in ("prometheus", "grafana") for mount in services[name]["volumes"]]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(files) == 5
    assert [file for file in files if not (ROOT / file).is_file()] == []
    [job] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["triad:8000"]
    assert "triad" in services


# Series that each alert is for, and the step after which it must be firing: minutes, of drifts hours.
Case = tuple[dict[str, str], int]
REQUESTS = 'triad_requests_total{route="/v1/predict",model="m",status="%s"}'
SECONDS = 'triad_request_seconds_bucket{route="/v1/predict",le="%s"}'
QUEUED = 'triad_stage_seconds_bucket{stage="queue",le="%s"}'
GPU = 'triad_gpu_memory_bytes{instance="a",gpu="0",kind="%s"}'
CONFIDENCE = 'triad_confidence_%s{model="m",version="1",task="t"}'
ATTENTION = 'triad_attention_%s{model="m",version="1",task="t",medium="text"}'
CASES: dict[str, Case] = {
    "TriadDown": ({'up{job="triad",instance="a"}': "0x10"}, 5),
    "TriadServesNoModel": ({'up{job="triad",instance="a"}': "1x10"}, 5),
    "TriadFails": ({REQUESTS % "200": "0+90x30", REQUESTS % "500": "0+10x30"}, 20),
    "TriadRefuses": ({REQUESTS % "200": "0+90x30", REQUESTS % "503": "0+10x30"}, 20),
    "TriadSlow": (
        {SECONDS % "1.0": "0+50x60", SECONDS % "2.5": "0+60x60", SECONDS % "+Inf": "0+60x60"},
        30,
    ),
    "TriadQueues": (
        {QUEUED % "0.25": "0+10x60", QUEUED % "1.0": "0+60x60", QUEUED % "+Inf": "0+60x60"},
        30,
    ),
    "TriadKeysRefused": ({'triad_rejected_total{reason="unauthorized"}': "0+120x60"}, 30),
    "TriadGpuMemoryFull": ({GPU % "used": "97x60", GPU % "total": "100x60"}, 30),
}
DRIFTS: dict[str, Case] = {
    "TriadConfidenceFell": (
        {CONFIDENCE % "sum": "0+54x200 10830+30x30", CONFIDENCE % "count": "0+60x230"},
        230,
    ),
    "TriadAttentionMoved": (
        {ATTENTION % "sum": "0+30x200 6054+54x30", ATTENTION % "count": "0+60x230"},
        230,
    ),
}
HEALTHY: Case = (
    {
        'up{job="triad",instance="a"}': "1x230",
        'triad_model_info{model="m",version="1",device="cpu",instance="a"}': "1x230",
        REQUESTS % "200": "0+100x230",
        SECONDS % "1.0": "0+100x230",
        SECONDS % "+Inf": "0+100x230",
        QUEUED % "0.25": "0+100x230",
        QUEUED % "+Inf": "0+100x230",
        'triad_rejected_total{reason="cannot-decode"}': "0+5x230",
        GPU % "used": "50x230",
        GPU % "total": "100x230",
        CONFIDENCE % "sum": "0+54x230",
        CONFIDENCE % "count": "0+60x230",
        ATTENTION % "sum": "0+30x230",
        ATTENTION % "count": "0+60x230",
    },
    230,
)


def test_every_alert_has_a_case() -> None:
    assert {*CASES, *DRIFTS} == {rule["alert"] for rule in rules()}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_the_rules(promtool: str) -> None:
    run(promtool, "check", "config", str(FOLDER / "prometheus.yml"))


def rule_test(case: Case, step_minutes: int, firing: list[str]) -> dict[str, Any]:
    """Of promtool: which alerts fire at a case's last step, by the series that Prometheus writes of them."""
    series, step = case
    return {
        "interval": f"{step_minutes}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{step * step_minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
            }
        ],
    }


@pytest.mark.parametrize(("cases", "step_minutes"), [(CASES, 1), (DRIFTS, 60)], ids=["cases", "drifts"])
def test_every_alert_fires_on_what_it_is_for_and_nothing_else_does(
    promtool: str, tmp_path: Path, cases: dict[str, Case], step_minutes: int
) -> None:
    tests = [rule_test(case, step_minutes, [name]) for name, case in cases.items()]
    tests.append(rule_test(HEALTHY, step_minutes, []))
    file = tmp_path / "tests.yml"
    content = {"rule_files": [str(ALERTS)], "evaluation_interval": f"{step_minutes}m", "tests": tests}
    file.write_text(yaml.safe_dump(content))
    run(promtool, "test", "rules", str(file))
