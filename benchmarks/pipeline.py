# /// script
# dependencies = ["jieba", "numpy", "onnxruntime", "pillow", "pydantic", "rjieba", "soundfile", "soxr"]
# ///
"""The service's own steps in a row, without a server: what the limit loops over and what every peer serves.

The dependencies above are installed with every peer, in the versions of constraints.txt.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.inference.answer import Prediction
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.options import Options
from triad_serving.inference.postprocess import describe_inputs, predict_tasks, warnings_about
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.preprocess import preprocess

# How the environment tells a peer, whose worker processes import it anew, what to serve.
BUNDLE, PORT, WORKERS = "BENCHMARK_BUNDLE", "BENCHMARK_PORT", "BENCHMARK_WORKERS"

LIMITS = MediaLimits()
OPTIONS = Options()
WANTED = Wanted(attention=True)  # as the service wants it by default


class Pipeline:
    """One loaded bundle; one thread inside each run of the graph, as many callers as there are cores."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = read_bundle(bundle)
        self._session = Session(
            self.bundle.model_path, spec=self.bundle.spec, tasks=self.bundle.tasks, device="cpu", threads=1
        )

    def prepare(self, raw: RawInputs) -> ModelInputs:
        return preprocess(raw, self.bundle.spec, self.bundle.assets, LIMITS)

    def run(self, batch: Sequence[ModelInputs]) -> list[ModelOutputs]:
        return self._session.run(batch, WANTED)

    def prediction(self, inputs: ModelInputs, outputs: ModelOutputs) -> Prediction:
        manifest = self.bundle.manifest
        return Prediction(
            id="benchmark",
            model=manifest.name,
            version=manifest.version,
            precision=self.bundle.precision,
            inputs=describe_inputs(inputs, manifest.preprocess),
            predictions=predict_tasks(outputs, inputs, manifest, OPTIONS),
            warnings=warnings_about(inputs, manifest.preprocess),
        )

    def answer(self, inputs: ModelInputs, outputs: ModelOutputs) -> str:
        """The JSON of the service."""
        return self.prediction(inputs, outputs).to_json()

    def predict(self, raw: RawInputs) -> str:
        inputs = self.prepare(raw)
        return self.answer(inputs, self.run([inputs])[0])


def load_pipeline() -> Pipeline:
    """Of the bundle that the environment names; answered once, so that dictionaries are loaded."""
    pipeline = Pipeline(Path(os.environ[BUNDLE]))
    pipeline.predict(RawInputs(text="七 seven"))
    return pipeline
