"""Each option does what it says to a bright square in the middle of black, or to a flat colour."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from triad_serving.contract.arrays import U8
from triad_serving.media.image.decode import DecodedImage, fit_image
from triad_serving.media.image.spec import ImageSpec
from triad_training.media.image.augment import augment_image
from triad_training.media.image.config import ImageAugment


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture() -> DecodedImage:
    """A bright square in the middle of black."""
    pixels = np.zeros((28, 28, 3), dtype=np.uint8)
    pixels[10:18, 10:18] = 255
    return decoded(pixels)


def decoded(pixels_HW3: U8) -> DecodedImage:
    height, width, _ = pixels_HW3.shape
    return DecodedImage(pixels_HW3=pixels_HW3, format="PNG", width=width, height=height)


def plain(*colour: int, side: int = 20) -> DecodedImage:
    return decoded(np.full((side, side, 3), colour, dtype=np.uint8))


def augment(
    image: DecodedImage, config: ImageAugment, random: np.random.Generator, spec: ImageSpec | None = None
) -> DecodedImage:
    return augment_image(image, config, spec or ImageSpec(), random)


def pixels(image: DecodedImage, config: ImageAugment, seed: int = 0) -> U8:
    return augment(image, config, rng(seed)).pixels_HW3


def test_without_any_option_nothing_changes() -> None:
    assert np.array_equal(pixels(picture(), ImageAugment()), picture().pixels_HW3)


def test_the_same_seed_draws_the_same() -> None:
    config = ImageAugment(scale=(0.5, 1.5), rotate=20, noise=0.1, invert=0.5, blur=1, shift=0.5)
    first, second, other = (pixels(picture(), config, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_crop_keeps_its_share_of_the_area_and_says_how_large_it_is() -> None:
    gradient = np.indices((60, 80)).transpose(1, 2, 0)
    wide = decoded(np.dstack([gradient, gradient[:, :, :1]]).astype(np.uint8))
    corners = set()
    for seed in range(30):
        cropped = augment(wide, ImageAugment(crop=(0.25, 0.25)), rng(seed), ImageSpec(height=80, width=80))
        height, width, _ = cropped.pixels_HW3.shape
        assert (cropped.width, cropped.height) == (width, height)
        assert height * width == pytest.approx(0.25 * 60 * 80, rel=0.07)
        assert 0.74 <= (width / 80) / (height / 60) <= 1.35
        top, left = cropped.pixels_HW3[0, 0, :2].tolist()
        assert np.array_equal(cropped.pixels_HW3[:, :, 0] - top, gradient[:height, :width, 0])
        corners.add((top, left))
    assert len(corners) > 20
    assert augment(wide, ImageAugment(crop=(1, 1)), rng()).pixels_HW3.shape == (60, 80, 3)


def test_images_are_mirrored_and_turned_upside_down() -> None:
    random = decoded(rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8))
    mirrored, turned = ImageAugment(flip_horizontal=1.0), ImageAugment(flip_vertical=1.0)
    assert np.array_equal(pixels(random, mirrored), random.pixels_HW3[:, ::-1])
    assert np.array_equal(pixels(random, turned), random.pixels_HW3[::-1])
    half = ImageAugment(flip_horizontal=0.5)
    kept = [np.array_equal(pixels(random, half, seed), random.pixels_HW3) for seed in range(100)]
    assert 30 < sum(kept) < 70


def test_a_large_image_is_reduced_to_what_the_graph_sees_before_it_is_moved_about() -> None:
    large = plain(10, 20, 30, side=300)
    assert pixels(large, ImageAugment(blur=0.1)).shape == (60, 60, 3)  # 300 // 56 = 5


@pytest.mark.parametrize(
    ("config", "colour", "expected"),
    [
        (ImageAugment(brightness=(0.5, 0.5)), (200, 100, 50), (100, 50, 25)),
        (ImageAugment(brightness=(2.0, 2.0)), (200, 100, 50), (255, 200, 100)),
        (ImageAugment(saturation=(1.0, 1.0), hue=1e-9), (200, 100, 50), (200, 100, 50)),
        (ImageAugment(saturation=(0.0, 0.0)), (200, 100, 50), (124, 124, 124)),  # its luma: BT.601
        (ImageAugment(hue=180), (90, 90, 90), (90, 90, 90)),
    ],
)
def test_colours_change_as_asked(
    config: ImageAugment, colour: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    found = pixels(plain(*colour), config)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_hue_turns_the_colour_and_keeps_its_luma() -> None:
    turned = []
    for seed in range(40):
        red, green, blue = pixels(plain(140, 110, 90), ImageAugment(hue=40), seed)[0, 0].tolist()
        assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(116.7, abs=1)
        hue = colorsys.rgb_to_hsv(red, green, blue)[0] - colorsys.rgb_to_hsv(140, 110, 90)[0]
        turned.append(360 * ((hue + 0.5) % 1 - 0.5))
    assert min(turned) < -20
    assert max(turned) > 20
    assert max(map(abs, turned)) < 60


def test_contrast_moves_pixels_towards_their_mean() -> None:
    found = pixels(picture(), ImageAugment(contrast=(0.5, 0.5))).astype(float)
    assert found.mean() == pytest.approx(picture().pixels_HW3.mean(), abs=0.5)
    assert found.std() == pytest.approx(picture().pixels_HW3.std() / 2, abs=0.5)


def test_a_cover_hides_its_share_in_one_grey() -> None:
    colour = plain(250, 0, 0, side=40)
    shares, greys = [], set()
    for seed in range(60):
        hidden = (pixels(colour, ImageAugment(erase=1, erase_area=(0.2, 0.3)), seed) != (250, 0, 0)).all(2)
        shares.append(hidden.mean())
        down, across = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
        assert hidden.sum() == len(down) * len(across)  # a box
        greys.add(int(pixels(colour, ImageAugment(erase=1), seed)[0, 0, 1]))
    assert min(shares) > 0.15
    assert max(shares) < 0.35
    seen = [(pixels(colour, ImageAugment(erase=0.5), seed) == (250, 0, 0)).all() for seed in range(100)]
    assert 30 < sum(seen) < 70


def test_a_band_reaches_along_one_whole_side_any_of_the_four() -> None:
    config = ImageAugment(erase=1, erase_band=1, erase_area=(0.5, 0.5))
    sides = set()
    for seed in range(40):
        hidden = (pixels(plain(250, 0, 0), config, seed) != (250, 0, 0)).all(2)
        assert hidden.mean() == 0.5
        halves = {"top": hidden[:10], "bottom": hidden[10:], "left": hidden[:, :10], "right": hidden[:, 10:]}
        sides |= {name for name, half in halves.items() if half.all()}
    assert sides == {"top", "bottom", "left", "right"}


def test_noise_has_the_deviation_that_was_asked_for_and_lies_on_the_cover_too() -> None:
    config = ImageAugment(noise=0.1, erase=1, erase_area=(1, 1), erase_band=1)
    deviations = [pixels(plain(128, 128, 128), config, seed)[:, :, 1].std() / 255 for seed in range(200)]
    assert np.mean(deviations) == pytest.approx(0.05, rel=0.15)
    assert max(deviations) < 0.12


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_scale_is_the_size_of_the_picture_in_its_canvas(scale: float) -> None:
    config = ImageAugment(scale=(scale, scale), canvas=84)
    pixels = augment(picture(), config, rng()).pixels_HW3
    assert pixels.shape == (84, 84, 3)
    bright = (pixels[:, :, 0] > 127).sum()
    assert bright == pytest.approx((8 * 3 * scale) ** 2, rel=0.15)


def test_the_outside_of_a_moved_image_looks_like_its_border() -> None:
    white = DecodedImage(pixels_HW3=255 - picture().pixels_HW3, format="PNG", width=28, height=28)
    pixels = augment(white, ImageAugment(scale=(0.5, 0.5)), rng()).pixels_HW3
    assert (pixels[0] == 255).all()
    assert (pixels[:, -1] == 255).all()


def test_strokes_grow_and_shrink_and_turn_negative() -> None:
    sizes = {
        int((augment(picture(), ImageAugment(stroke=2), rng(seed)).pixels_HW3[:, :, 0] > 0).sum())
        for seed in range(40)
    }
    assert sizes == {4**2, 6**2, 8**2, 10**2, 12**2}
    negative = augment(picture(), ImageAugment(invert=1.0), rng()).pixels_HW3
    assert np.array_equal(negative, 255 - picture().pixels_HW3)


def test_an_augmented_image_still_fits_the_graph() -> None:
    config = ImageAugment(canvas=84, contrast=(0.3, 0.5), tint=0.2, shading=0.5, noise=0.1, shear=0.2)
    fitted = fit_image(augment(picture(), config, rng()), ImageSpec())
    assert fitted.pixels_HW3.shape == (56, 56, 3)
