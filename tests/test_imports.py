"""Imports go one way between folders. Read from the source: nothing needs to be installed to prove it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVING, TRAINING = ROOT / "service" / "triad_serving", ROOT / "model_training" / "triad_training"
SOURCES = {package.name: sorted(package.rglob("*.py")) for package in (SERVING, TRAINING)}

# A folder (or a module beside them) imports nothing from a later line, nor from its neighbours in its own.
DIRECTION = {
    "triad_serving": (
        ("contract",),
        ("media",),
        ("settings", "inference"),
        ("explanation",),
        ("drawing", "engine", "search"),
        ("http",),
        ("operation", "client", "scoring"),
        ("cluster",),
        ("cli",),
    ),
    "triad_training": (
        ("layers",),
        ("media",),
        ("config",),
        ("data",),
        ("network", "inspection"),
        ("evaluation",),
        ("learning",),
        ("compression",),
        ("train",),
    ),
}
TRAINER_MAY_IMPORT = {"contract", "media", "inference", "explanation"}
TRAINING_LIBRARIES = {
    "torch",
    "accelerate",
    "onnx",
    "onnxscript",
    "safetensors",
    "sklearn",
    "pyarrow",
    "matplotlib",
    "jinja2",
    "transformers",
}
READ_OR_WRITE_PARQUET = {"triad_serving.contract.rows", "triad_serving.scoring.prediction_table"}
EVERY = [path for paths in SOURCES.values() for path in paths]


def module_name(path: Path) -> str:
    parts = path.relative_to(path.parents[len(path.parts) - len(ROOT.parts) - 2]).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Full names of modules, and of what is imported from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(module: str) -> int:
    """Of the folder that a module lies in, in its package's direction."""
    package, folder, *_ = [*module.split("."), ""]
    return next(i for i, line in enumerate(DIRECTION[package]) if folder in line)


@pytest.mark.parametrize("path", EVERY, ids=module_name)
def test_imports_go_one_way_between_folders(path: Path) -> None:
    module = module_name(path)
    package, folder, *_ = [*module.split("."), ""]
    if not folder:  # the public face
        return
    for imported in imports_of(path):
        other, target, *_ = [*imported.split("."), ""]
        if other == package and target != folder:
            assert place(imported) < place(module), f"{module} imports {imported}"


def test_no_two_modules_import_each_other() -> None:
    """Nor do more in a ring."""
    modules = {module_name(path): path for path in EVERY}
    edges = {
        name: {
            found
            for imported in imports_of(path)
            if (found := imported if imported in modules else imported.rpartition(".")[0]) in modules
        }
        for name, path in modules.items()
    }
    while leaves := {name for name, imported in edges.items() if not imported & edges.keys()}:
        edges = {name: imported for name, imported in edges.items() if name not in leaves}
    assert edges == {}


@pytest.mark.parametrize("path", SOURCES["triad_serving"], ids=module_name)
def test_the_service_never_imports_the_trainer_or_its_libraries(path: Path) -> None:
    if module_name(path) == "triad_serving.cli":  # lazily, inside train and evaluate: see below
        return
    roots = {imported.split(".")[0] for imported in imports_of(path)}
    if module_name(path) in READ_OR_WRITE_PARQUET:  # lazily: see below
        roots.remove("pyarrow")
    assert not roots & (TRAINING_LIBRARIES | {"triad_training"})


@pytest.mark.parametrize("path", SOURCES["triad_training"], ids=module_name)
def test_the_trainer_imports_only_the_shared_part_of_the_service(path: Path) -> None:
    for imported in imports_of(path):
        package, folder, *_ = [*imported.split("."), ""]
        if package == "triad_serving":
            assert folder in TRAINER_MAY_IMPORT, f"{module_name(path)} imports {imported}"


def test_only_the_runtime_and_the_quantiser_import_onnxruntime() -> None:
    """onnxruntime.quantization makes graphs, for which it needs onnx: nothing for the service."""
    importers = [
        module_name(path)
        for path in EVERY
        if any(imported.split(".")[0] == "onnxruntime" for imported in imports_of(path))
    ]
    assert importers == ["triad_serving.inference.runtime", "triad_training.compression.quantize"]
    quantiser = TRAINING / "compression/quantize.py"
    found = {name for name in imports_of(quantiser) if name.startswith("onnxruntime")}
    assert all(name.startswith("onnxruntime.quantization.") for name in found)


def test_importing_the_service_loads_no_training_library_and_reads_no_setting() -> None:
    """A poisoned TRIAD_ variable would fail any module that made its Settings on import."""
    modules = ", ".join(module_name(path) for path in SOURCES["triad_serving"])
    program = (
        f"import sys, {modules}\n"
        f"loaded = {TRAINING_LIBRARIES | {'triad_training'}} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    environment = {**os.environ, "TRIAD_THREADS": "poison", "PYTHONPATH": str(SERVING.parent)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_client_needs_neither_a_web_framework_nor_a_runtime_nor_training() -> None:
    forbidden = TRAINING_LIBRARIES | {"onnxruntime", "fastapi", "starlette", "uvicorn"}
    program = (
        "import sys; from triad_serving import AsyncTriadClient, TriadClient\n"
        f"loaded = {forbidden} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    environment = {**os.environ, "PYTHONPATH": str(SERVING.parent)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_import_rule_can_fail(tmp_path: Path) -> None:
    guilty = tmp_path / "guilty.py"
    guilty.write_text("def f():\n    from triad_serving.http import app\n    import torch.nn\n")
    assert list(imports_of(guilty)) == ["triad_serving.http.app", "torch.nn"]
    assert place("triad_serving.http.app") > place("triad_serving.engine.batcher")
