"""The manifests are valid by Kubernetes' schemas, and name what the service and its image have."""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from tests.examples.conftest import EXAMPLES
from triad_serving.cli import app as command
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.metrics import Metrics
from triad_serving.settings import Settings

FOLDER = EXAMPLES / "kubernetes"
DOCKERFILE = (EXAMPLES.parent / "Dockerfile").read_text(encoding="utf-8")
# kubernetes_validate's schemas name a metaschema that its jsonschema does not know; it takes the latest one.
pytestmark = pytest.mark.filterwarnings("ignore:The metaschema specified by:DeprecationWarning")
VERSIONS = ("1.33", "1.37")  # the oldest and the newest that the clouds offer


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def of_kind(kind: str, name: str = "triad.yaml") -> dict[str, Any]:
    [found] = [document for document in documents(name) if document["kind"] == kind]
    return found


def runtime_as_pod() -> dict[str, Any]:
    """KServe's runtime has the fields of a pod's spec beside its own."""
    spec = of_kind("ServingRuntime", "kserve.yaml")["spec"]
    own = ("supportedModelFormats", "protocolVersions")
    kept = {name: value for name, value in spec.items() if name not in own}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "triad"}, "spec": kept}


def pod_specs() -> list[dict[str, Any]]:
    return [of_kind("Deployment")["spec"]["template"]["spec"], runtime_as_pod()["spec"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "document", [*documents("triad.yaml"), runtime_as_pod()], ids=lambda each: each["kind"]
)
def test_a_manifest_is_what_kubernetes_takes(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_the_check_of_manifests_can_fail() -> None:
    wrong = copy.deepcopy(of_kind("Deployment"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("kind", ["ServingRuntime", "InferenceService"])
def test_a_manifest_is_what_kserve_takes(kind: str) -> None:
    pytest.importorskip("kserve", reason="kserve wants protobuf below 7: it needs an environment of its own")
    assert list(unknown_fields(of_kind(kind, "kserve.yaml"), f"{prefix(kind)}{kind}")) == []
    assert list(unknown_fields({"spec": {"predictr": {}}}, f"{prefix(kind)}{kind}"))


def prefix(kind: str) -> str:
    return {"ServingRuntime": "V1alpha1", "InferenceService": "V1beta1"}[kind]


def unknown_fields(value: Any, model: str) -> Iterator[str]:
    """Those that KServe's own classes, generated from its custom resources, do not have."""
    if found := re.fullmatch(r"list\[(.+)\]", model):
        for each in value:
            yield from unknown_fields(each, found[1])
        return
    kind = getattr(importlib.import_module("kserve"), model, None)
    if kind is None:  # a string, a number; or Kubernetes' own, which the test above has
        return
    types = {kind.attribute_map[name]: of for name, of in kind.openapi_types.items()}
    for name, inner in value.items():
        if name not in types:
            yield f"{model}.{name}"
        else:
            yield from unknown_fields(inner, types[name])


def test_the_autoscaler_asks_for_a_metric_that_there_is(tiny_bundle: Path) -> None:
    [metric] = of_kind("HorizontalPodAutoscaler")["spec"]["metrics"]
    exposed = bytes(Metrics(Engine.open(tiny_bundle)).expose().body).decode()
    name = metric["pods"]["metric"]["name"]
    assert f"# TYPE {name} gauge" in exposed
    [rule] = documents("prometheus-adapter.yaml")[0]["rules"]["custom"]
    assert rule["seriesQuery"].startswith(f"{name}{{")


def test_probes_ask_what_there_is(tiny_bundle: Path) -> None:
    known = create_app(Settings(models=tiny_bundle)).openapi()["paths"]
    [container] = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert paths == ["/readyz", "/readyz", "/healthz"]
    assert set(paths) <= known.keys()


@pytest.mark.parametrize("spec", pod_specs())
def test_a_pod_has_no_rights_and_no_writable_root(spec: dict[str, Any]) -> None:
    [container] = spec["containers"]
    security = {**spec.get("securityContext", {}), **container["securityContext"]}
    assert security["runAsNonRoot"]
    assert f"USER {security['runAsUser']}:" in DOCKERFILE
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    port = container["ports"][0]["containerPort"]
    assert f"EXPOSE {port}" in DOCKERFILE


def test_a_pod_has_the_time_that_its_requests_may_take() -> None:
    spec = of_kind("Deployment")["spec"]["template"]["spec"]
    waits_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    longest_s = Settings.model_fields["request_timeout_s"].default
    assert spec["terminationGracePeriodSeconds"] >= waits_s + longest_s + 10


def test_settings_and_options_that_are_named_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml"))
    assert {
        name.lower() for name in re.findall(r"TRIAD_([A-Z_]+[A-Z])", text)
    } <= Settings.model_fields.keys()
    serve = typer.main.get_command(command).commands["serve"]  # type: ignore[attr-defined]
    options = {option for parameter in serve.params for option in parameter.opts}
    [container] = runtime_as_pod()["spec"]["containers"]
    assert container["args"][0] == "serve"
    assert {argument for argument in container["args"] if argument.startswith("--")} <= options
