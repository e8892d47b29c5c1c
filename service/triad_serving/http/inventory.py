"""What /metrics says of models and GPUs as they are when it is asked, by the worker that is asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from triad_serving.engine.engine import Engine

logger = logging.getLogger(__name__)


class Inventory:
    """As prometheus_client collects."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        yield self._models()
        if self._engine.loaded and self._engine.catalog.on_gpu:
            yield from _gpu_memory()

    def _models(self) -> Metric:
        family = GaugeMetricFamily(
            "triad_model_info",
            "1 for each model version that is served.",
            labels=("model", "version", "device"),
        )
        for model in self._engine.catalog.models if self._engine.loaded else ():
            family.add_metric((model.name, model.version, model.session.device), 1)
        return family


def _gpu_memory() -> Iterator[Metric]:
    """Of every GPU, all processes together. Nothing without NVIDIA's library, or nvidia-ml-py."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return
    family = GaugeMetricFamily("triad_gpu_memory_bytes", "Memory of a GPU.", labels=("gpu", "kind"))
    try:
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(number))
            family.add_metric((str(number), "used"), memory.used)
            family.add_metric((str(number), "total"), memory.total)
    except pynvml.NVMLError as error:
        logger.warning("The GPUs' memory cannot be read: %s.", error)
        return
    yield family
