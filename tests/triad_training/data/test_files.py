"""Decoded files in the forms that training needs: equal with and without a cache, and decoded once."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import triad_training.data.files as files_module
from triad_serving.contract.errors import TableError
from triad_serving.media.audio.decode import DecodedAudio, decode_audio, fit_audio
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.decode import decode_image, fit_image
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.limits import MediaLimits
from triad_training.data.cache import Cache
from triad_training.data.codec import from_bytes, stage_of, to_bytes
from triad_training.data.files import FileStore
from triad_training.media.audio.stored import AUDIO_AS_READ, SOUND, decoded
from triad_training.media.image.stored import IMAGE_AS_READ, PICTURE
from triad_training.media.stored import File, StoredForm

SPEC = PreprocessSpec(
    text=None, image=ImageSpec(height=16, width=16, rows=2, columns=2), audio=AudioSpec(max_s=1.0)
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, File]:
    """A picture much larger than the graph reads, and a sound at twice its rate."""
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (301, 200, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", random.uniform(-0.5, 0.5, 8000), 16_000)
    for name in ("a.png", "a.wav"):
        os.utime(tmp_path / name, (time.time() - 60, time.time() - 60))
    return {
        form.name: File(form, tmp_path / name)
        for form, name in (
            (IMAGE_AS_READ, "a.png"),
            (PICTURE, "a.png"),
            (AUDIO_AS_READ, "a.wav"),
            (SOUND, "a.wav"),
        )
    }


def cached(tmp_path: Path) -> FileStore:
    return FileStore(SPEC, cache=Cache(tmp_path / "cache", max_gib=1))


def heard(store: FileStore, path: Path) -> DecodedAudio:
    assert SPEC.audio
    return decoded(store.read(File(SOUND, path)), SPEC.audio)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "decode", lambda *_: pytest.fail("decoded again"))


def test_a_checked_file_is_never_decoded_again(
    files: dict[str, File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SPEC.image
    assert SPEC.audio
    image = fit_image(decode_image(files["image"].path.read_bytes(), SPEC.image, MediaLimits()), SPEC.image)
    audio = fit_audio(decode_audio(files["audio"].path.read_bytes(), SPEC.audio, MediaLimits()), SPEC.audio)
    assert cached(tmp_path).check(files.values()) == {}
    forbid_decoding(monkeypatch)
    again = cached(tmp_path)  # as the next run does
    assert again.check(files.values()) == {}
    for found, expected in (
        (again.read(files["image"]), image),
        (again.read(files["audio"]), audio),
    ):
        for field in dataclasses.fields(expected):
            assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name
    assert set(again.digests) == {file.path for file in files.values()}


def test_without_a_cache_the_same_comes_from_the_file(files: dict[str, File], tmp_path: Path) -> None:
    kept, plain = cached(tmp_path), FileStore(SPEC)
    kept.check(files.values())
    for media in (kept, plain):
        picture, sound = media.read(files["picture"]), heard(media, files["sound"].path)
        assert picture.pixels_HW3.shape == (51, 34, 3)  # a sixth: the smallest that keeps twice 16
        assert (picture.width, picture.height) == (200, 301)
        assert (sound.sample_rate_hz, sound.seconds, len(sound.samples_T)) == (8000, 0.5, 4000)
    path = files["sound"].path
    assert np.array_equal(heard(kept, path).samples_T, heard(plain, path).samples_T)


def test_a_changed_file_is_decoded_again(files: dict[str, File], tmp_path: Path) -> None:
    media, path = cached(tmp_path), files["image"].path
    media.check([files["image"]])
    Image.new("RGB", (30, 30), "red").save(path)
    changed = cached(tmp_path)
    changed.check([files["image"]])
    assert changed.read(files["image"]).width == 30
    assert changed.digests[path] != media.digests[path]


def test_a_damaged_item_is_decoded_from_its_file_and_kept_again(
    files: dict[str, File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = cached(tmp_path)
    media.check([files["image"]])
    expected = media.read(files["image"]).pixels_HW3
    assert media.cache is not None
    media.cache._change(lambda to: to.execute("UPDATE items SET crc = 1"))
    assert np.array_equal(media.read(files["image"]).pixels_HW3, expected)
    forbid_decoding(monkeypatch)
    assert np.array_equal(media.read(files["image"]).pixels_HW3, expected)


def test_what_is_wrong_with_a_file_is_told_each_time(tmp_path: Path) -> None:
    broken, missing = File(IMAGE_AS_READ, tmp_path / "b.png"), File(AUDIO_AS_READ, tmp_path / "c.wav")
    broken.path.write_bytes(b"no image")
    for _ in range(2):
        problems = cached(tmp_path).check([broken, missing])
        assert "Not an image" in problems[broken]
        assert problems[missing] == "No such file or directory"
    with pytest.raises(TableError, match=r"image: .*b\.png: Not an image"):
        FileStore(SPEC).read(broken)


@pytest.mark.parametrize("with_cache", [True, False])
def test_processes_decode_what_one_would(
    files: dict[str, File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_cache: bool
) -> None:
    monkeypatch.setattr(files_module, "WORTH_WORKERS", 2)
    monkeypatch.setattr(files_module, "FILES_PER_WRITE", 1)
    state = torch.get_rng_state()
    media = cached(tmp_path) if with_cache else FileStore(SPEC)
    media.workers = 2
    broken = File(IMAGE_AS_READ, tmp_path / "b.png")
    assert list(media.check([*files.values(), broken])) == [broken]
    assert set(media.digests) == {file.path for file in files.values()}
    assert torch.equal(torch.get_rng_state(), state)  # else the weights would depend on what was cached
    if with_cache:
        forbid_decoding(monkeypatch)
        assert media.read(files["image"]).height == 301


def test_a_stage_is_named_after_all_that_decides_what_bytes_become(monkeypatch: pytest.MonkeyPatch) -> None:
    louder = dataclasses.replace(SPEC, audio=AudioSpec(max_s=2.0))
    assert stage_of(AUDIO_AS_READ, SPEC) == stage_of(AUDIO_AS_READ, SPEC)
    assert stage_of(IMAGE_AS_READ, SPEC) == stage_of(IMAGE_AS_READ, louder)
    names = {stage_of(AUDIO_AS_READ, SPEC), stage_of(AUDIO_AS_READ, louder), stage_of(SOUND, SPEC)}
    monkeypatch.setattr("PIL.__version__", "0.1")
    assert len(names | {stage_of(AUDIO_AS_READ, SPEC)}) == 4


def test_a_form_survives_being_written() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    image = ImageInput(pixels_HW3=pixels, format="PNG", width=2, height=2, region=(0, 0, 2, 2))
    found = from_bytes(to_bytes(image), ImageInput)
    assert np.array_equal(found.pixels_HW3, pixels)
    assert (found.format, found.region) == ("PNG", (0, 0, 2, 2))


@pytest.mark.parametrize("form", [AUDIO_AS_READ, SOUND], ids=lambda form: form.name)
@pytest.mark.parametrize("trim_db", [0.0, 30.0])
def test_a_sound_that_would_be_cut_off_is_a_problem_where_training_says_so(
    tmp_path: Path, form: StoredForm, trim_db: float
) -> None:
    """Known to the cache or not: a run that cuts may have kept it."""
    assert SPEC.audio
    spec = dataclasses.replace(SPEC, audio=dataclasses.replace(SPEC.audio, trim_db=trim_db))
    cache = Cache(tmp_path / "cache", max_gib=1)
    files = [File(form, tmp_path / name) for name in ("long.wav", "short.wav")]
    for file, seconds in zip(files, (1.5, 1.0), strict=True):
        soundfile.write(file.path, np.random.default_rng(0).uniform(-0.5, 0.5, round(8000 * seconds)), 8000)
        os.utime(file.path, (1e9, 1e9))
    for refuse_long in (True, False, True):
        problems = FileStore(spec, cache=cache, refuse_long=refuse_long).check(files)
        assert list(problems) == ([files[0]] if refuse_long else [])
    assert "it is 1.5 s long, and preprocess.audio.max_s = 1;" in problems[files[0]]
    assert FileStore(spec, cache=cache).read(File(AUDIO_AS_READ, files[0].path)).truncated


def test_what_is_to_be_augmented_is_not_trimmed_before(tmp_path: Path) -> None:
    assert SPEC.audio
    spec = dataclasses.replace(SPEC, audio=dataclasses.replace(SPEC.audio, trim_db=30.0))
    wave_T = np.concatenate([np.zeros(12_000), np.full(4000, 0.5)])
    soundfile.write(tmp_path / "a.wav", wave_T, 8000)
    media = FileStore(spec)
    assert len(media.read(File(SOUND, tmp_path / "a.wav")).samples_T) == 16_000
    assert len(media.read(File(AUDIO_AS_READ, tmp_path / "a.wav")).samples_T) == 4000
