"""How large the pictures of a table are, and what of them a model should see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from triad_training.media.column import Choice

ENDINGS = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
CELL = 16  # pixels across a cell, in large pictures
# Typical side of the pictures, pixels, below which so many are read; cells are then CELL or 8 pixels wide.
SIDES = ((48, 32), (200, 64))
LARGE_SIDE = 128
UNEVEN = 1.5  # between the 90th and the 10th percentile of width / height: stretching would distort


def image_choices(files: Sequence[Path]) -> Iterator[Choice]:
    """files: a sample. Those that cannot be opened are left to the training, which names them."""
    sizes = np.array([size for file in files if (size := _size(file))], dtype=float).reshape(-1, 2)
    if not len(sizes):
        return
    width, height = np.median(sizes, axis=0)
    aspects = sizes[:, 0] / sizes[:, 1]
    aspect = float(np.median(aspects))
    side = next((read for below, read in SIDES if np.sqrt(width * height) < below), LARGE_SIDE)
    cell = min(CELL, side // 4)
    low, top = np.percentile(aspects, (10, 90))
    high, wide = side, side
    if top / low <= UNEVEN and not 0.7 < aspect < 1.4:
        high, wide = (side // 2, side) if aspect > 1 else (side, side // 2)
    why = f"of usually {height:.0f} x {width:.0f} pixels; more where small things matter, at a cost"
    yield Choice(section="preprocess.image", key="height", value=high, why=why)
    yield Choice(section="preprocess.image", key="width", value=wide, why="likewise")
    cells = f"cells of {cell} x {cell} pixels, the regions that attention speaks of"
    yield Choice(section="preprocess.image", key="rows", value=high // cell, why=cells)
    yield Choice(section="preprocess.image", key="columns", value=wide // cell, why="likewise")
    if top / low > UNEVEN:
        uneven = f"width / height goes from {low:.2f} to {top:.2f}, and to stretch would distort"
        yield Choice(section="preprocess.image", key="fit", value="pad", why=uneven)


def _size(file: Path) -> tuple[int, int] | None:
    """Width and height, from the header; None where there is none."""
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
