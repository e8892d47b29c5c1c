"""What a measurement was taken on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from triad_serving.settings import usable_cores

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "numpy", "pillow", "fastapi", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """usable: cores that this process may run on. load: processes that wanted to run in the minute before."""

    cpu: str
    cores: int
    usable: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    load: float

    def sentence(self) -> str:
        return (
            f"{self.usable} of {self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB, {self.system}, "
            f"Python {self.python}, load {self.load:.1f} before."
        )


def describe_machine() -> Machine:
    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count() or 1,
        usable=usable_cores(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        load=round(os.getloadavg()[0], 2),
    )


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "an unknown processor"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
