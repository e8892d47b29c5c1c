from __future__ import annotations

import pytest

from triad_training.media import preset as module
from triad_training.media.config import MediaColumns
from triad_training.media.preset import Options, Preset, media_options, mostly_chinese, size_of

ENCODERS = {"text": "english-sentences", "image": "photographs"}


@pytest.mark.parametrize(
    ("rows", "size"),
    [(0, "tiny"), (499, "tiny"), (500, "small"), (3_000, "medium"), (19_999, "medium"), (20_000, "large")],
)
def test_a_table_is_as_large_as_its_training_rows(rows: int, size: str) -> None:
    assert size_of(rows) == size


@pytest.mark.parametrize(
    ("texts", "chinese"),
    [
        (["屏幕坏了", "电池不充电"], True),
        (["The screen is broken", "no sound"], False),
        (["我的 NovaPad 坏了，屏幕一直是黑的，请尽快帮我处理一下", "ok"], True),
        (["", "123"], False),
        ([], False),
    ],
)
def test_the_script_is_that_of_most_letters(texts: list[str], chinese: bool) -> None:
    assert mostly_chinese([{"text": text} for text in texts], "text") == chinese


def encoders(preset: Preset, rows: int, *, text: str = "plain words", own: Options | None = None) -> Options:
    model = media_options(preset, MediaColumns(), [{"text": text}] * rows, own=own or {})["model"]
    return {key: value for key, value in model.items() if key.endswith("_encoder")}


def test_encoders_at_hand_are_taken_where_rows_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoders("default", 100) == {}
    monkeypatch.setattr(module, "encoders_at_hand", lambda: ENCODERS)
    both = {"text_encoder": "english-sentences", "image_encoder": "photographs"}
    assert encoders("default", 100) == both
    assert encoders("default", 5_000) == {}
    assert encoders("best", 5_000) == both
    assert encoders("fast", 100) == {}


def test_an_english_encoder_reads_no_chinese_and_no_options_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "encoders_at_hand", lambda: ENCODERS)
    assert list(encoders("default", 100, text="屏幕坏了")) == ["image_encoder"]
    for own in ({"lexicon": {"min_count": 3}}, {"preprocess": {"text": {"pos": True}}}):
        assert list(encoders("default", 100, own=own)) == ["image_encoder"]


def test_nothing_that_a_frozen_encoder_reads_is_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"image": "photographs", "audio": "speech"}
    monkeypatch.setattr(module, "encoders_at_hand", lambda: names)
    data = MediaColumns(text="text", image="image", audio="audio")
    rows = [{"text": "plain words"}] * 600
    frozen = media_options("best", data, rows, own={})
    assert set(frozen["augment"]) == {"text"}
    tuned: Options = {"model": {m + "_encoder": {"source": s, "tune": "all"} for m, s in names.items()}}
    assert set(media_options("best", data, rows, own=tuned)["augment"]) == {"text", "image", "audio"}


@pytest.mark.parametrize(
    ("words", "read"), [([3], 16), ([3, 40, 50], 64), ([9] * 99 + [100], 16), ([999], 256)]
)
def test_texts_are_read_to_their_usual_end(words: list[int], read: int) -> None:
    rows = [{"text": "word " * count} for count in words]
    assert media_options("fast", MediaColumns(), rows, own={})["preprocess"]["text"] == {"max_tokens": read}


def test_without_a_text_its_length_is_left_open() -> None:
    assert "text" not in media_options("fast", MediaColumns(), [{"text": ""}], own={})["preprocess"]


def test_a_transcript_gets_tokens_as_short_as_its_symbols() -> None:
    rows = [{"text": "words"}]
    for kind, frames in (("transcript", 2), ("classification", 8)):
        own: Options = {"tasks": {"said": {"type": kind}}}
        audio = media_options("default", MediaColumns(), rows, own=own)["preprocess"]["audio"]
        assert audio["frames_per_token"] == frames
