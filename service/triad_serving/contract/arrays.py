"""Arrays by their type of number."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

I64: TypeAlias = npt.NDArray[np.int64]
U8: TypeAlias = npt.NDArray[np.uint8]
I16: TypeAlias = npt.NDArray[np.int16]
F32: TypeAlias = npt.NDArray[np.float32]
Feed: TypeAlias = dict[str, npt.NDArray[np.generic]]  # the graph's inputs, by name
