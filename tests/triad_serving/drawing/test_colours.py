"""Colours against matplotlib's own maps, and as people with other eyes see them."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from triad_serving.drawing.colours import colour_of, ink_on, shade
from triad_serving.media.figures import Tone

LEVELS = np.linspace(0, 1, 256)

# Full deuteranopia and protanopia on linear RGB. Source: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes,
# A physiologically-based model for simulation of color vision deficiency, 2009.
DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
]
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
NORMAL = np.eye(3).tolist()


def linear(rgb: np.ndarray) -> np.ndarray:
    shares = rgb / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def luminance(rgb: np.ndarray) -> np.ndarray:
    return linear(rgb) @ (0.2126, 0.7152, 0.0722)


def test_attention_is_drawn_in_cividis() -> None:
    reference = mpl.colormaps["cividis"](LEVELS)[:, :3] * 255
    assert np.abs(shade(LEVELS, "attention") - reference).max() < 12


def test_drops_are_drawn_in_purple_and_orange() -> None:
    assert colour_of(0, "drop") == "#f7f7f7"
    assert (colour_of(-1, "drop"), colour_of(1, "drop")) == ("#542788", "#b35806")
    assert shade(0.125, "drop").tolist() == pytest.approx(
        [250.5, 235.5, 214.5], abs=0.5
    )  # between two of nine


def test_more_attention_is_brighter_and_a_larger_drop_darker_also_in_grey() -> None:
    steps = np.linspace(0, 1, 33)  # rounding to whole colours outweighs smaller ones
    assert (np.diff(luminance(shade(steps, "attention"))) > 0).all()
    for sign in (-1, 1):
        assert (np.diff(luminance(shade(sign * steps, "drop"))) < 0).all()


@pytest.mark.parametrize("eyes", [NORMAL, DEUTERANOPIA, PROTANOPIA], ids=["normal", "deutan", "protan"])
def test_for_and_against_differ_for_every_eye(eyes: list[list[float]]) -> None:
    for level in (0.25, 0.5, 1.0):
        speaks_for, against = (linear(shade(sign * level, "drop")) @ np.array(eyes).T for sign in (1, -1))
        blue_minus_yellow = [seen[2] - (seen[0] + seen[1]) / 2 for seen in (speaks_for, against)]
        assert blue_minus_yellow[1] - blue_minus_yellow[0] > 0.1


@pytest.mark.parametrize("tone", ["attention", "drop"])
def test_words_can_be_read_on_every_shade(tone: Tone) -> None:
    for level in np.linspace(0 if tone == "attention" else -1, 1, 101):
        colour = colour_of(float(level), tone)
        pair = [
            float(luminance(np.array(list(bytes.fromhex(c[1:]))))) + 0.05 for c in (colour, ink_on(colour))
        ]
        assert max(pair) / min(pair) >= 4.5


def test_levels_beyond_the_scale_are_its_ends() -> None:
    assert shade([-3, 3], "attention").tolist() == shade([0, 1], "attention").tolist()
