"""What an install brings, what wheel and sdist carry, that it serves. Reference: pyproject.toml, imports."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from triad_serving.settings import Settings

ROOT = Path(__file__).parent.parent
SERVING, TRAINING_HALF = ROOT / "service", ROOT / "model_training"
PACKAGES = ((SERVING, "triad_serving"), (TRAINING_HALF, "triad_training"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SERVING_EXTRAS = [
    requirement
    for extra in ("client", "tables", "tokenizer", "rates", "signatures", "traces", "grpc")
    for requirement in EXTRAS[extra]
]
TRAINING = EXTRAS["train"] + EXTRAS["tokenizer"] + EXTRAS["pretrained"]
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxscript",
    "accelerate",
    "scikit-learn",
    "pyarrow",
    "pandas",
    "safetensors",
}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def imported(package: str) -> Iterator[tuple[str, str]]:
    """File and top-level name of every import in a package, also inside functions."""
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file.name, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield file.name, node.module.split(".")[0]


def copy_source(folder: Path) -> Path:
    """What the Dockerfile copies."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("service", "model_training"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def build(kind: str, source: Path, out: Path) -> Path:
    """By the backend itself: no network, no isolated environment."""
    code = f"import sys, hatchling.build as backend; print(backend.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("packaging") / "source")


@pytest.fixture(scope="module")
def wheel(source: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(build("wheel", source, source.parent)) as file:
        yield file


@pytest.fixture(scope="module")
def wheel_of_sdist(source: Path) -> Path:
    """Built from nothing but what the sdist holds."""
    folder = source.parent / "unpacked"
    with tarfile.open(build("sdist", source, source.parent)) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.iterdir()
    return build("wheel", unpacked, folder)


@pytest.fixture(scope="module")
def installed(wheel_of_sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that holds this wheel and what the base install brings, and nothing else.

    Packages are links to those that the tests run with, in place of the same from an index.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel_of_sdist) as file:  # all that installing a wheel of Python alone is
        file.extractall(site)
    for found in brought(PROJECT["dependencies"]):
        for name in {path.parts[0] for path in found.files or [] if path.parts[0] != ".."}:
            place = site / name
            if not place.exists():
                place.symlink_to(str(found.locate_file(name)))
    return folder / "bin" / "python"


def brought(requirements: list[str]) -> list[Distribution]:
    """The distributions that an installer would bring, as they are installed here."""
    found: dict[tuple[str, str], Distribution] = {}
    waiting = [each for line in requirements if applies(each := Requirement(line), "")]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key not in found:
                found[key] = distribution(requirement.name)
                lines = found[key].requires or []
                waiting += [each for line in lines if applies(each := Requirement(line), extra)]
    return list(found.values())


def applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def test_the_base_install_brings_nothing_of_training() -> None:
    assert not names(PROJECT["dependencies"]) & HEAVY
    assert names(EXTRAS["gpu"]) == {"onnxruntime-gpu", "nvidia-ml-py"}


@pytest.mark.parametrize(
    ("package", "requirements"),
    [
        (
            "service/triad_serving",
            PROJECT["dependencies"]
            + SERVING_EXTRAS
            + [line for extra in ("gpu", "ray", "remote", "search") for line in EXTRAS[extra]],
        ),
        ("model_training/triad_training", PROJECT["dependencies"] + TRAINING),
        ("tests", PROJECT["dependencies"] + SERVING_EXTRAS + TRAINING + EXTRAS["dev"]),
    ],
)
def test_whatever_is_imported_is_declared(package: str, requirements: list[str]) -> None:
    """A package that only comes along with another may go away with it."""
    declared = names(requirements)
    own = {"triad_serving", "triad_training", "tests", "benchmarks", "triad_generated"}
    provided_by = packages_distributions()
    # FastAPI is Starlette with annotations, pydantic pins its own core: what pins the other is declared.
    along = {"starlette": "fastapi", "pydantic_core": "pydantic"}

    undeclared = {
        f"{file} imports {name}"
        for file, name in imported(package)
        if name not in sys.stdlib_module_names | own
        and not {canonicalize_name(along.get(d, d)) for d in provided_by.get(name, [name])} & declared
    }
    assert undeclared == set()


def test_every_declared_dependency_is_pinned_within_its_range() -> None:
    declared = [
        Requirement(line) for line in PROJECT["dependencies"] + SERVING_EXTRAS + TRAINING + EXTRAS["dev"]
    ]
    assert len(declared) > 20

    for requirement in declared:
        name = canonicalize_name(requirement.name)
        if name != "triad-serving":
            assert name in pins(), requirement
            assert requirement.specifier.contains(pins()[name]), requirement


def test_constraints_are_exact_sorted_and_name_no_build_of_one_machine() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]

    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line) for line in pinned)
    assert pinned == sorted(pinned, key=str.lower)
    assert pins()["torch"] == "2.13.0"


def test_the_wheel_carries_both_packages_their_types_and_the_licence(wheel: zipfile.ZipFile) -> None:
    found = set(wheel.namelist())

    for folder, package in PACKAGES:
        files = [*(folder / package).rglob("*.py"), *(folder / package).rglob("*.j2")]
        sources = {str(file.relative_to(folder)) for file in files}
        assert len(sources) > 40
        assert sources <= found
        assert f"{package}/py.typed" in found
    licences = [name for name in found if name.endswith("licenses/LICENSE")]
    assert len(licences) == 1
    assert b"Apache License" in wheel.read(licences[0])


def test_the_wheel_carries_the_shipped_bundle(wheel: zipfile.ZipFile) -> None:
    files = [file for file in (SERVING / "triad_serving/models").rglob("*") if file.is_file()]

    found = set(wheel.namelist())
    assert {str(file.relative_to(SERVING)) for file in files} <= found
    assert "triad_serving/models/digits/1/bundle.json" in found
    assert "triad_serving/models/digits/1/model.onnx" in found


def test_the_wheel_carries_the_pages_and_the_licences_of_what_they_are_made_of(
    wheel: zipfile.ZipFile,
) -> None:
    files = [file for file in (SERVING / "triad_serving/playground").rglob("*") if file.is_file()]
    found = set(wheel.namelist())
    assert len(files) > 50
    assert {str(file.relative_to(SERVING)) for file in files} <= found
    for package in ("swagger-ui", "redoc"):
        licence = f"licenses/service/triad_serving/playground/reference/{package}/LICENSE"
        assert any(name.endswith(licence) for name in found)


def test_the_wheel_carries_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"triad_serving", "triad_training"}
    assert not [name for name in wheel.namelist() if "test" in name or "__pycache__" in name]


def test_the_wheel_asks_for_what_the_project_declares(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    lines = wheel.read(metadata).decode().splitlines()
    base = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist")]

    assert names([line for line in base if "extra ==" not in line]) == names(PROJECT["dependencies"])
    assert "Name: triad-serving" in lines
    assert "Requires-Python: >=3.11" in lines
    assert "License-Expression: Apache-2.0 AND MIT" in lines  # ReDoc, which /redoc serves, is MIT


def test_the_sdist_makes_the_same_wheel(wheel: zipfile.ZipFile, wheel_of_sdist: Path) -> None:
    with zipfile.ZipFile(wheel_of_sdist) as file:
        assert {each.filename: each.CRC for each in file.infolist()} == {
            each.filename: each.CRC for each in wheel.infolist()
        }


def test_what_is_installed_serves_and_answers(installed: Path, tmp_path: Path) -> None:
    """By the console script's entry point; isolated from this checkout and its environment."""
    start = """
import importlib.util, sys
from importlib.metadata import entry_points
assert not [name for name in ("torch", "onnx", "pytest", "httpx") if importlib.util.find_spec(name)]
[script] = entry_points(group="console_scripts", name="triad")
sys.exit(script.load()())
"""
    triad = [str(installed), "-I", "-c", start]
    said = subprocess.run([*triad, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == f"triad {PROJECT['version']}\n"
    serve = [*triad, "serve", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(serve, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert "ready" in ready
        address = ready.split()[-1].replace("localhost", "127.0.0.1")
        image = (ROOT / "examples/seven.png").read_bytes()
        answer = httpx.post(
            f"{address}/v1/predict", files={"text": (None, "seven"), "image": image}, timeout=30
        )
        assert answer.json()["predictions"]["digit"]["label"] == "7"
        assert "<title>" in httpx.get(address).text  # the playground came along
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_compose_sets_only_settings_that_exist() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    serving = [service for service in compose["services"].values() if "environment" in service]
    assert len(serving) == 2

    known = {f"TRIAD_{name.upper()}" for name in Settings.model_fields}
    for service in serving:
        assert service["environment"].keys() <= known


def test_compose_serves_with_no_privileges_and_no_writable_root() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    for service in (compose["triad"], compose["triad-gpu"]):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "profiles" not in compose["triad"]
    assert compose["triad-gpu"]["profiles"] == ["gpu"]
    assert compose["triad-train"]["profiles"] == ["train"]
    assert compose["prometheus"]["profiles"] == compose["grafana"]["profiles"] == ["monitoring"]


def test_every_stage_that_compose_builds_is_in_the_dockerfile() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    built = [service["build"] for service in compose.values() if "build" in service]
    assert {build["target"] for build in built} <= set(stages)
    assert stages[-1] == "serve"  # what a plain `docker build .` gives
    for arguments in (build.get("args", {}) for build in built):
        assert arguments.keys() <= set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))


def test_the_dockers_context_holds_every_file_that_the_dockerfile_copies() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for word in line.split()[:-1]
    }

    assert "*" in ignore
    assert copied == {line[1:] for line in ignore if line.startswith("!")}
