"""Where a graph runs."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
GpuMode = Literal["kernels", "graphs", "tensorrt"]
