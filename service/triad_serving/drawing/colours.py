"""The two colour maps, which people see alike whatever colours they can tell apart; numpy only.

attention: cividis, dark to bright, made for that purpose. Source: J. R. Nuñez, C. R. Anderton, R. S. Renslow,
Optimizing colormaps with consideration for color vision deficiency, PLOS ONE 13(7), 2018; 17 of its colours.
drop: purple below 0, orange above, pale at 0. Source: ColorBrewer's PuOr of nine colours, listed as
colour-blind safe (C. A. Brewer, colorbrewer2.org, Apache-2.0).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import U8
from triad_serving.explanation.shapley import F64
from triad_serving.media.figures import Tone

CIVIDIS = (
    "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 "
    "8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838"
)
PUOR = "542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806"

PLAIN, FOR, AGAINST = (
    "#535a6d",
    "#e08214",
    "#8073ac",
)  # of bars: a share, what speaks for an answer, against it


def shade(levels: npt.ArrayLike, tone: Tone) -> U8:
    """RGB [..., 3] of levels [...]: attention within [0, 1], drops within [-1, 1]."""
    scale = np.asarray(levels, dtype=np.float64)
    stops = _stops(CIVIDIS if tone == "attention" else PUOR)
    places = np.linspace(0 if tone == "attention" else -1, 1, len(stops))
    channels = [np.interp(scale, places, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def veil(levels: npt.ArrayLike, tone: Tone) -> tuple[U8, F64]:
    """What lies over an image, [..., 3], and how opaque it is, [...].

    Attention covers the image evenly; a drop the more, the larger it is.
    """
    scale = np.asarray(levels, dtype=np.float64)
    if tone == "attention":
        return shade(scale, tone), np.full(scale.shape, 0.6)
    return shade(0.75 * np.sign(scale), tone), 0.85 * np.abs(scale)


def colour_of(level: float, tone: Tone) -> str:
    """#rrggbb."""
    return f"#{bytes(shade(level, tone)).hex()}"


def inks_on(colours: U8) -> U8:
    """Black or white, whichever contrasts more with each colour, [..., 3]. Source: WCAG 2.2, luminance."""
    shares = colours / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    dark = (luminance + 0.05) ** 2 > 1.05 * 0.05
    return np.where(dark, 0, 255)[..., None].repeat(3, axis=-1).astype(np.uint8)


def ink_on(colour: str) -> str:
    return f"#{bytes(inks_on(np.array(list(bytes.fromhex(colour[1:])), dtype=np.uint8))).hex()}"


def _stops(listed: str) -> npt.NDArray[np.int64]:
    return np.array([list(bytes.fromhex(each)) for each in listed.split()])
