"""Where a graph runs, and with what numbers."""

from __future__ import annotations

from typing import Literal

Precision = Literal["single", "half", "int8"]
Device = Literal["auto", "cpu", "cuda"]
GpuMode = Literal["kernels", "graphs", "tensorrt"]
