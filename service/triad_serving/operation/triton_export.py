"""A bundle as a model of NVIDIA Triton's repository, answered by Triton's Python backend."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import SetupError
from triad_serving.http.v2.metadata import DATA_TYPES
from triad_serving.http.v2.outputs import outputs_of
from triad_serving.inference.bundle import Bundle

BUNDLE = "bundle"
MAX_BATCH_SIZE = 32
CONFIGURATION = """\
name: "{name}"
backend: "python"
max_batch_size: {size}
dynamic_batching {{ }}
instance_group [ {{ count: 1, kind: KIND_CPU }} ]
input [
{inputs}
]
output [
{outputs}
]
"""
MODEL = '''\
"""Written by `triad export triton`. The interpreter of Triton's Python backend needs triad-serving."""

from pathlib import Path

import triton_python_backend_utils as pb_utils

from triad_serving.operation.triton_backend import Backend, to_array


class TritonPythonModel:
    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"]
        self._backend = Backend(folder / "bundle")

    def execute(self, requests):
        answers = self._backend.answer(
            [
                (
                    {tensor.name(): tensor.as_numpy() for tensor in request.inputs()},
                    list(request.requested_output_names()),
                )
                for request in requests
            ]
        )
        return [self._response(answer) for answer in answers]

    def finalize(self):
        self._backend.close()

    def _response(self, answer):
        if isinstance(answer, Exception):
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(answer)))
        tensors = [pb_utils.Tensor(tensor.name, to_array(tensor)) for tensor in answer]
        return pb_utils.InferenceResponse(output_tensors=tensors)
'''


def export_triton(bundle: Bundle, out: Path) -> Path:
    """Writes out/NAME/config.pbtxt and out/NAME/VERSION/; the model's folder.

    Raises SetupError where that version is there, DiskError.
    """
    model = out / bundle.manifest.name
    version = model / bundle.manifest.version
    if version.exists():
        raise SetupError(f"{version} exists; an exported model is never overwritten.")
    with writing(version):
        shutil.copytree(bundle.path, version / BUNDLE)
        (version / "model.py").write_text(MODEL, encoding="utf-8")
        (model / "config.pbtxt").write_text(configuration_of(bundle), encoding="utf-8")
    return model


def configuration_of(bundle: Bundle) -> str:
    """Shapes without the axis of the batch, which Triton puts before them."""
    return CONFIGURATION.format(
        name=bundle.manifest.name,
        size=MAX_BATCH_SIZE,
        inputs=_listed(_entry(name, "BYTES", 1, more=", optional: true") for name in bundle.spec.media),
        outputs=_listed(_entry(each.name, each.datatype, each.width or 1) for each in outputs_of(bundle)),
    )


def _entry(name: str, datatype: str, length: int, *, more: str = "") -> str:
    return f'  {{ name: "{name}", data_type: {DATA_TYPES[datatype]}, dims: [ {length} ]{more} }}'


def _listed(entries: Iterable[str]) -> str:
    return ",\n".join(entries)
