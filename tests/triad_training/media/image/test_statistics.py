"""Colour and gradient statistics of images: as numpy finds them, and always numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.media.image.spec import ImageSpec
from triad_training.layers.expert import F64
from triad_training.media.image.statistics import FLOOR, ImageStatistics

SPEC = ImageSpec(height=32, width=48, rows=2, columns=3)
# Where each block ends: thumbnail, means and deviations of colours, gradients coarse and fine, histograms.
GREY, MEANS, DEVIATIONS, FINE, COARSE, BINS = np.cumsum([256, 48, 48, 9 * 64, 9 * 16, 24]).tolist()


def statistics(pixels_NHW3: np.ndarray, spec: ImageSpec = SPEC) -> F64:
    with torch.inference_mode():
        found: F64 = ImageStatistics(spec)(torch.from_numpy(pixels_NHW3)).double().numpy()
    return found


def noise(seed: int = 0, *, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def colours(pixels_NHW3: np.ndarray) -> F64:
    red, green, blue = np.moveaxis(pixels_NHW3 / 255, 3, 0)
    return np.stack([(red + green + blue) / 3, (red - green) / 2, (2 * blue - red - green) / 4], axis=1)


def cells(x_NCHW: F64, count: int) -> F64:
    """[N, C, count, H / count, count, W / count]"""
    images, channels, height, width = x_NCHW.shape
    return x_NCHW.reshape(images, channels, count, height // count, count, width // count)


def test_the_thumbnail_is_the_grey_picture_relative_to_its_contrast() -> None:
    grey_N1HW = colours(noise())[:, :1]
    centred = grey_N1HW - grey_N1HW.mean((2, 3), keepdims=True)
    relative = centred / np.sqrt(grey_N1HW.var((2, 3), keepdims=True) + FLOOR)
    expected = cells(relative, 16).mean((3, 5)).reshape(2, -1)
    assert statistics(noise())[:, :GREY] == pytest.approx(expected, abs=1e-4)


def test_colours_are_means_and_deviations_of_cells() -> None:
    parts = cells(colours(noise()), 4)
    found = statistics(noise())
    assert found[:, GREY:MEANS] == pytest.approx(parts.mean((3, 5)).reshape(2, -1), abs=1e-5)
    expected = np.sqrt(parts.var((3, 5)) + FLOOR).reshape(2, -1)
    assert found[:, MEANS:DEVIATIONS] == pytest.approx(expected, abs=1e-4)


def test_histograms_share_each_pixel_between_its_two_nearest_bins() -> None:
    """Reference: linear interpolation, channel by channel."""
    shares = []
    for channel_NHW, (low, high) in zip(
        np.moveaxis(colours(noise()), 1, 0), [(0, 1), (-0.5, 0.5), (-0.5, 0.5)], strict=True
    ):
        place_NP = (channel_NHW.reshape(2, -1) - low) / (high - low) * 7
        lower_NP = np.floor(place_NP).clip(0, 6).astype(int)
        counts_N8 = np.zeros((2, 8))
        for n in range(2):
            np.add.at(counts_N8[n], lower_NP[n], 1 - (place_NP[n] - lower_NP[n]))
            np.add.at(counts_N8[n], lower_NP[n] + 1, place_NP[n] - lower_NP[n])
        shares.append(counts_N8 / place_NP.shape[1])
    expected = np.sqrt(np.concatenate(shares, axis=1) + FLOOR)
    assert statistics(noise())[:, COARSE:] == pytest.approx(expected, abs=1e-4)
    assert statistics(noise()).shape == (2, BINS)


@pytest.mark.parametrize("turned", [False, True])
def test_an_edge_counts_for_its_own_orientation_where_it_is(*, turned: bool) -> None:
    """Upright, its gradient is of orientation 0; lying, halfway round: the fifth or the sixth of 9."""
    pixels = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    pixels[:, :, 20:] = 255
    if turned:
        pixels = pixels.swapaxes(1, 2).copy()
    found = statistics(pixels, ImageSpec(height=32, width=32, rows=2, columns=2))
    energy_A44 = found[0, FINE:COARSE].reshape(9, 4, 4)
    assert energy_A44.sum((1, 2)).argmax() in ((4, 5) if turned else (0,))
    places = energy_A44.sum(0).sum(1 if turned else 0)
    assert places.argmax() == 2


def test_larger_images_are_averaged_first() -> None:
    pixels = np.repeat(np.repeat(noise(height=64, width=64), 2, axis=1), 2, axis=2)
    large, small = (ImageSpec(height=side, width=side, rows=4, columns=4) for side in (128, 64))
    assert statistics(pixels, large) == pytest.approx(statistics(pixels[:, ::2, ::2].copy(), small), abs=1e-4)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_an_image_of_one_colour_gives_numbers(value: int) -> None:
    pixels = np.full((2, 32, 48, 3), value, dtype=np.uint8)
    found = statistics(pixels)
    assert np.isfinite(found).all()
    assert found[:, :GREY] == pytest.approx(0, abs=1e-3)


def test_no_image_gives_no_features() -> None:
    assert statistics(np.zeros((0, 32, 48, 3), dtype=np.uint8)).shape == (0, BINS)


def test_every_feature_is_about_some_of_the_cells_of_the_spec() -> None:
    own = ImageStatistics(SPEC)
    assert sum(own.blocks) == BINS
    assert own.cells_FC.shape == (BINS, 6)
    assert torch.allclose(own.cells_FC.sum(1), torch.ones(BINS))
    assert own.cells_FC[0].tolist() == [1, 0, 0, 0, 0, 0]  # the thumbnail's first pixel
    assert own.cells_FC[-1].tolist() == pytest.approx([1 / 6] * 6)
