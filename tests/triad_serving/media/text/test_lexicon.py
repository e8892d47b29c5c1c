"""Which words of a text a bundle's model reads, and the files that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from triad_serving.contract.errors import BundleError, DecodeError, SetupError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.lexicon import Lexicon, WordLexicon, read_lexicon, read_stop_words
from triad_serving.media.text.spec import POS_IDS, TextSpec
from triad_serving.media.text.words import Vocabulary, Word

LIMITS = MediaLimits()
PLAIN = TextSpec()
STOPPING = WordLexicon(vocabulary=Vocabulary(["天气"]), stop_words=frozenset({"的", "the", "很"}))


def shown(text: str, lexicon: Lexicon = STOPPING, spec: TextSpec = PLAIN) -> list[str]:
    """What each word points at, in the text as sent."""
    return [text[word.start : word.end] for word in lexicon.words(text, spec, LIMITS)]


def test_stop_words_are_left_out_and_the_others_still_point_at_their_place() -> None:
    assert shown("今天的天气 ＴＨＥ weather很好") == ["今天", "天气", "weather", "好"]


@pytest.mark.parametrize("text", ["the", "很，很", "的 THE"])
def test_a_text_is_never_emptied(text: str) -> None:
    spec = TextSpec(drop_pos=("x",))

    assert "".join(shown(text, spec=spec)) == text.replace(" ", "")


def test_a_text_of_white_space_stays_refused() -> None:
    with pytest.raises(DecodeError, match="no words"):
        STOPPING.words(" \n", TextSpec(drop_pos=("x",)), LIMITS)


def test_parts_of_speech_are_left_out_and_told_to_the_graph() -> None:
    text = "我爱北京，他呢？"
    spec = TextSpec(pos=True, drop_pos=("x", "y"))
    words = STOPPING.words(text, spec, LIMITS)
    found = STOPPING.encode(words, spec, text=text)

    assert [text[start:end] for start, end in found.spans] == ["我", "爱", "北", "京", "他"]
    assert found.pos_L is not None
    assert found.pos_L.tolist() == [POS_IDS[tag] for tag in ("r", "v", "ns", "ns", "r")]
    assert found.pos_L.dtype == found.ids_L.dtype


def test_a_word_nobody_tagged_has_the_id_of_padding() -> None:
    found = STOPPING.encode([Word("天气", 0, 2)], TextSpec(pos=True), text="天气")

    assert found.pos_L is not None
    assert (found.ids_L.tolist(), found.pos_L.tolist()) == ([2], [0])


def test_without_parts_of_speech_none_are_made() -> None:
    words = STOPPING.words("我爱北京", PLAIN, LIMITS)

    assert {word.pos for word in words} == {""}
    assert STOPPING.encode(words, PLAIN, text=4 * "x").pos_L is None


def test_a_lexicon_survives_being_written_and_read(tmp_path: Path) -> None:
    lexicon = WordLexicon(
        vocabulary=Vocabulary(["量子酒", "好"]),
        user_dictionary="量子酒 5 nz\n",
        stop_words=frozenset({"的", "a"}),
    )
    assert set(lexicon.files()) == {"vocabulary.txt", "user_dictionary.txt", "stop_words.txt"}
    for name, data in lexicon.files().items():
        (tmp_path / name).write_bytes(data)
    found = read_lexicon(tmp_path, lexicon.files())

    assert found.files() == lexicon.files()
    assert found.size == lexicon.size == 4
    for text in ("a量子酒的好", "的 A"):
        assert shown(text, found) == shown(text, lexicon)
    assert shown("a量子酒的好", found) == ["量子酒", "好"]
    assert shown("a量子酒的好") == ["a", "量子", "酒", "好"]  # the dictionary is the bundle's own


def test_a_vocabulary_alone_is_a_lexicon(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").write_bytes("好\n".encode())
    (tmp_path / "stop_words.txt").write_bytes("好\n".encode())  # not listed: not read

    found = read_lexicon(tmp_path, ["vocabulary.txt", "model.onnx"])

    assert set(found.files()) == {"vocabulary.txt"}
    assert shown("好的", found) == ["好", "的"]
    with pytest.raises(BundleError, match=r"does not list vocabulary.txt"):
        read_lexicon(tmp_path, ["model.onnx"])


def test_a_file_of_stop_words_is_normalised_as_texts_are(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes("\ufeffＴｈｅ\r\n\n 的 \n".encode())

    assert read_stop_words(tmp_path / "mine.txt") == {"the", "的"}
    with pytest.raises(SetupError, match=r"no.txt cannot be read"):
        read_stop_words(tmp_path / "no.txt")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": 0}, "max_tokens must be above 0, not 0"),
        ({"drop_pos": ("noun",)}, "'noun' is no part"),
    ],
)
def test_an_impossible_spec_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TextSpec(**fields)  # type: ignore[arg-type]
