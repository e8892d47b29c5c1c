"""Every decoder alone: a hostile file is an item or a refusal that names its medium, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.corpus import (
    Case,
    hostile_fields,
    hostile_images,
    hostile_sounds,
    hostile_texts,
    valid_images,
    valid_sounds,
)
from tests.hostile.mutation import mutate
from tests.hostile.targets import DECODERS, status_of
from triad_serving.media.registry import NAMES

IMAGES, SOUNDS = valid_images(), valid_sounds()
READ_OR_REFUSED = (200, 413, 415, 422)

# Pillow's own, which a service silences; numpy's about our arithmetic stay errors.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")


@pytest.mark.parametrize(
    ("medium", "cases"),
    [
        ("image", hostile_images),
        ("audio", hostile_sounds),
        ("text", hostile_texts),
        ("fields", hostile_fields),
    ],
)
def test_the_corpus_is_read_or_refused_as_it_says(medium: str, cases: Callable[[], Iterable[Case]]) -> None:
    assert {
        case.name: (status, sorted(case.statuses))
        for case in cases()
        for status in [status_of(medium, case.data)]
        if status not in case.statuses
    } == {}


def test_every_medium_is_attacked() -> None:
    assert set(DECODERS) == set(NAMES)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(IMAGES)), seed=st.integers(min_value=0))
def test_any_mutated_image_is_read_or_refused(name: str, seed: int) -> None:
    data = mutate(IMAGES[name], list(IMAGES.values()), np.random.default_rng(seed))
    assert status_of("image", data) in READ_OR_REFUSED


@settings(deadline=None)
@given(name=st.sampled_from(sorted(SOUNDS)), seed=st.integers(min_value=0))
def test_any_mutated_sound_is_read_or_refused(name: str, seed: int) -> None:
    data = mutate(SOUNDS[name], list(SOUNDS.values()), np.random.default_rng(seed))
    assert status_of("audio", data) in READ_OR_REFUSED


@settings(deadline=None)
@given(data=st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_text_is_read_or_refused(data: bytes) -> None:
    assert status_of("text", data) in READ_OR_REFUSED


@settings(deadline=None)
@given(head=st.sampled_from([*IMAGES.values(), *SOUNDS.values()]), data=st.binary(max_size=2000))
def test_noise_behind_any_beginning_is_read_or_refused(head: bytes, data: bytes) -> None:
    for kept in (4, 12, 60):
        assert status_of("image", head[:kept] + data) in READ_OR_REFUSED
        assert status_of("audio", head[:kept] + data) in READ_OR_REFUSED
