"""The bundles that are measured: shipped, large, with a pretrained encoder; on 32 and 16 bits."""

from __future__ import annotations

import logging
from pathlib import Path

from benchmarks.serving.servers import ROOT
from triad_serving.inference.bundle import (
    MODEL_FILE,
    WEIGHTS_FILE,
    Bundle,
    Compression,
    read_bundle,
    write_bundle,
)

DIGITS = ROOT / "service/triad_serving/models/digits/1"
KEPT = ROOT / "benchmarks/.models"  # where benchmarks.large writes
CONFIGS = {
    "large": ROOT / "benchmarks/large.toml",
    "pretrained": Path(__file__).with_name("pretrained.toml"),
}


def make_bundle(name: str, folder: Path) -> Path:
    """The bundle of this name, made where it is not there already. Raises what keeps it from being made."""
    if name == "digits":
        return DIGITS
    config = CONFIGS[name]
    if (made := KEPT / name / "1").is_dir():
        return made
    from benchmarks.large import build_bundle
    from triad_training.config.reading import load_config

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    return build_bundle(load_config(config), folder / name / "1").path


def make_half(original: Path, folder: Path) -> Path:
    """The same with 16-bit floats, as `triad compress --fp16` makes it, without its measurements."""
    from triad_training.compression.float16 import convert_to_half

    bundle: Bundle = read_bundle(original)
    manifest = bundle.manifest
    compression = Compression(
        original=f"{manifest.name} {manifest.version}",
        original_sha256=manifest.files[MODEL_FILE],
        steps=("fp16",),
        size=0.5,
        speed={},
        difference={},
        drop=None,
    )
    left_out = {MODEL_FILE, WEIGHTS_FILE, "model.int8.onnx"}
    others = {name: (original / name).read_bytes() for name in manifest.files if name not in left_out}
    graph = convert_to_half(bundle.model_path.read_bytes())
    made = manifest.model_copy(update={"compression": compression, "int8": None})
    return write_bundle(folder / f"{manifest.name}-half" / "1", made, {MODEL_FILE: graph, **others}).path
