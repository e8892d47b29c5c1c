"""Imports go one way. Read from the source, so that nothing needs to be installed to prove it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVING = sorted((ROOT / "service").rglob("*.py"))
TRAINING = sorted((ROOT / "model_training").rglob("*.py"))

# Lower imports nothing from a higher or equal layer (a layer in one line may not import its neighbours).
LAYERS = (
    {"service.errors"},
    {"service.contract", "service.disk", "service.pages"},
    {"service.settings", "service.schemas", "service.preprocess"},
    {"service.preprocess.characters"},
    {"service.preprocess.segmenter"},
    {"service.preprocess.text", "service.preprocess.image", "service.preprocess.audio"},
    {"service.preprocess.tokenizer"},
    {"service.preprocess.lexicon"},
    {"service.preprocess.example"},
    {"service.bundle"},
    {"service.runtime", "service.batcher", "service.postprocess", "service.inspection"},
    {"service.session"},
    {"service.shapley", "service.occlusion"},
    {"service.explain", "service.catalog"},
    {"service.drawing", "service.drawing.colours", "service.drawing.phrases", "service.drawing.fonts"},
    {"service.drawing.media", "service.drawing.style"},
    {"service.drawing.scene"},
    {"service.drawing.bars"},
    {"service.drawing.layers", "service.drawing.svg", "service.drawing.raster"},
    {"service.drawing.compose", "service.drawing.html", "service.drawing.png", "service.drawing.terminal"},
    {"service.engine", "service.negotiation"},
    {"service.problems", "service.multipart", "service.openapi", "service.view"},
    {"service.metrics", "service.routes"},
    {"service.app"},
    {"service.server"},
    {"service.workers"},
    {"service.cli"},
)
TRAINER_MAY_IMPORT = (
    "service.contract",
    "service.disk",
    "service.preprocess",
    "service.bundle",
    "service.session",
    "service.postprocess",
    "service.shapley",
    "service.occlusion",
    "service.errors",
)
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


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            assert node.module
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = {module_name(other) for other in (*SERVING, *TRAINING)}
            yield from [name for name in submodules if name in modules] or [node.module]


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def layer_of(module: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if module in layer)


@pytest.mark.parametrize("path", SERVING, ids=module_name)
def test_the_service_imports_only_lower_layers(path: Path) -> None:
    module = module_name(path)
    if module == "service":
        assert list(imports_of(path)) == []
        return
    for imported in imports_of(path):
        if within(imported, ("service",)):
            assert layer_of(imported) < layer_of(module), f"{module} imports {imported}"


@pytest.mark.parametrize("path", SERVING, ids=module_name)
def test_the_service_never_imports_the_trainer_or_its_libraries(path: Path) -> None:
    if module_name(path) == "service.cli":  # lazily, inside train and evaluate: see the next test
        return
    roots = {imported.split(".")[0] for imported in imports_of(path)}
    assert not roots & (TRAINING_LIBRARIES | {"model_training"})


def test_only_the_runtime_and_the_quantiser_import_onnxruntime() -> None:
    """onnxruntime.quantization makes graphs, for which it needs onnx: nothing for the service."""
    importers = [
        module_name(path)
        for path in (*SERVING, *TRAINING)
        if any(imported.split(".")[0] == "onnxruntime" for imported in imports_of(path))
    ]
    assert importers == ["service.runtime", "model_training.quantize"]
    quantiser = ROOT / "model_training/quantize.py"
    assert {name for name in imports_of(quantiser) if "onnxruntime" in name} == {"onnxruntime.quantization"}


@pytest.mark.parametrize("path", TRAINING, ids=module_name)
def test_the_trainer_imports_only_the_shared_part_of_the_service(path: Path) -> None:
    for imported in imports_of(path):
        if within(imported, ("service",)):
            assert within(imported, TRAINER_MAY_IMPORT), f"{module_name(path)} imports {imported}"


def test_importing_the_service_loads_no_training_library_and_reads_no_setting() -> None:
    """A poisoned TRIAD_ variable would fail any module that made its Settings on import."""
    modules = ", ".join(module_name(path) for path in SERVING)
    program = (
        f"import sys, {modules}\n"
        f"loaded = {TRAINING_LIBRARIES | {'model_training'}} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    environment = {**os.environ, "TRIAD_THREADS": "poison", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_import_rule_can_fail(tmp_path: Path) -> None:
    guilty = tmp_path / "guilty.py"
    guilty.write_text("def f():\n    from service import engine\n    import torch.nn\n")
    assert list(imports_of(guilty)) == ["service.engine", "torch.nn"]
