from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import SPEC
from tests.triad_serving.inference.test_session import image_of, sound_of, text_of
from triad_serving.explanation.occlusion import Part, hide, parts_of, total
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageSpec

WHOLE = ModelInputs(text=text_of(2, 3, 4), image=image_of(51), audio=sound_of(1000, 8192))
WORD = Part(medium="text", first=1, last=2)
CELL = Part(medium="image", first=1, last=2, left=0, right=1)
MOMENT = Part(medium="audio", first=1, last=2)


def test_every_token_is_a_part_where_there_are_few() -> None:
    parts = parts_of(WHOLE, SPEC, most=64)
    assert [(part.first, part.last) for _, part in parts.of("text")] == [(0, 1), (1, 2), (2, 3)]
    assert [(part.first, part.left) for _, part in parts.of("image")] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(parts.of("audio")) == 3  # (1000 - 200) // 80 + 1 = 11 frames, four to a token
    assert [n for medium in ("text", "image", "audio") for n, _ in parts.of(medium)] == list(range(10))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_neighbours_are_hidden_together_where_there_are_many(most: int) -> None:
    parts = parts_of(WHOLE, SPEC, most=most)
    for medium in WHOLE.media:
        assert 1 <= len(parts.of(medium)) <= most
    grid = np.zeros((SPEC.image.rows, SPEC.image.columns)) if SPEC.image else np.zeros(0)
    for _, part in parts.of("image"):
        grid[part.first : part.last, part.left : part.right] += 1
    assert (grid == 1).all()
    assert parts.of("text")[-1][1].last == 3


def test_a_hidden_word_is_left_out() -> None:
    found = hide(WHOLE, [WORD], SPEC)
    assert found.text is not None
    assert found.text.ids_L.tolist() == [2, 4]
    assert found.text.spans == ((0, 1), (2, 3))
    assert (found.image, found.audio) == (WHOLE.image, WHOLE.audio)


def test_without_its_only_word_a_text_is_absent() -> None:
    found = hide(ModelInputs(text=text_of(2)), [Part(medium="text", first=0, last=1)], SPEC)
    assert found.media == ()


def test_a_hidden_cell_gets_the_mean_colour() -> None:
    image = image_of(0)
    image.pixels_HW3[:2] = 200
    found = hide(ModelInputs(image=image), [CELL], SPEC).image
    assert found is not None
    assert found.pixels_HW3[2:, :2].tolist() == [[[100] * 3] * 2] * 2
    assert found.pixels_HW3[2:, 2:].max() == 0
    assert image.pixels_HW3[2:].max() == 0


def test_a_hidden_moment_is_silent() -> None:
    found = hide(WHOLE, [MOMENT], SPEC).audio
    assert found is not None
    assert np.flatnonzero(found.samples_T == 0).tolist() == list(range(320, 640))


def test_several_parts_are_hidden_at_once() -> None:
    parts = [part for part in parts_of(WHOLE, SPEC, most=64).parts if part.first == 0]
    assert [part.medium for part in parts] == ["text", "image", "image", "audio"]
    found = hide(WHOLE, parts, SPEC)
    assert found.text is not None
    assert found.text.ids_L.tolist() == [3, 4]
    assert found.audio is not None
    assert np.flatnonzero(found.audio.samples_T == 0).tolist() == list(range(320))
    image = image_of(0)
    image.pixels_HW3[:2] = 200
    hidden = hide(ModelInputs(image=image), parts, SPEC).image
    assert hidden is not None
    assert hidden.pixels_HW3[:2].tolist() == [[[100] * 3] * 4] * 2  # the mean of the image as it was
    assert hidden.pixels_HW3[2:].max() == 0


def test_what_keeps_all_its_parts_is_shared() -> None:
    assert hide(WHOLE, [], SPEC).text is WHOLE.text
    assert hide(WHOLE, [WORD, MOMENT], SPEC).image is WHOLE.image


def test_weights_of_a_part_are_the_sum_over_its_tokens() -> None:
    spec = PreprocessSpec(text=None, image=ImageSpec(height=4, width=6, rows=2, columns=3), audio=None)
    weights_C = np.arange(6, dtype=np.float32)
    assert total(weights_C, Part(medium="image", first=0, last=2, left=1, right=3), spec) == 1 + 2 + 4 + 5
    assert total(weights_C, Part(medium="audio", first=2, last=4), spec) == 2 + 3
