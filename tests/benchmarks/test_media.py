from __future__ import annotations

import io

import soundfile
from PIL import Image

from benchmarks.media import (
    COUNT,
    LARGE_PHOTO,
    PHOTO,
    PHOTO_BYTES,
    RATE_HZ,
    make_examples,
    make_large_photo,
    make_texts,
)


def test_no_two_examples_are_alike_and_every_call_makes_the_same() -> None:
    examples = make_examples()
    assert examples == make_examples()
    for medium in ("text", "image", "audio"):
        assert len({getattr(example, medium) for example in examples}) == COUNT


def test_examples_have_the_sizes_that_the_figures_are_told_for() -> None:
    for example in make_examples():
        assert example.text is not None
        assert example.image is not None
        assert example.audio is not None
        assert 55 <= len(example.text) <= 65
        assert 0.9 * PHOTO_BYTES <= len(example.image) <= PHOTO_BYTES
        assert Image.open(io.BytesIO(example.image)).size == PHOTO
        sound = soundfile.info(io.BytesIO(example.audio))
        assert (sound.samplerate, sound.channels, sound.subtype) == (RATE_HZ, 1, "PCM_16")
        assert sound.duration == 1.0


def test_sounds_are_as_long_as_asked_for() -> None:
    audio = make_examples(sound_s=10.0)[0].audio
    assert audio is not None
    assert soundfile.info(io.BytesIO(audio)).duration == 10.0


def test_texts_are_those_of_the_examples_and_nothing_else() -> None:
    assert [raw.text for raw in make_texts()] == [raw.text for raw in make_examples()]
    assert all(raw.image is None and raw.audio is None for raw in make_texts())


def test_a_large_photo_has_twelve_megapixels() -> None:
    image = make_large_photo(0).image
    assert image is not None
    assert Image.open(io.BytesIO(image)).size == LARGE_PHOTO
    assert 2_000_000 < len(image) < 8_000_000
