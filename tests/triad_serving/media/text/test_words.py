"""Text to words and ids. References: unicodedata, and slices of the text that was sent."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triad_serving.contract.errors import BundleError, DecodeError, TooLargeError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.segmenter import segmenter
from triad_serving.media.text.spec import PAD_ID, UNKNOWN_ID, TextSpec
from triad_serving.media.text.words import Vocabulary, Word, encode_words, segment_text

LIMITS = MediaLimits()
SPEC = TextSpec(max_tokens=64)
NOTHING_KNOWN = Vocabulary([])

# Composed by NFKC across characters, ligatures that grow, marks, emoji, scripts of every kind.
AWKWARD = st.text(alphabet="aAéßİΣﬁﷺㄱ각각ｶﾞが가e\u0301\u0323\u0307 七，１２Ａ😀👨\u200d👩½①\u00a0\n")


def slices(text: str, *, vocabulary: Vocabulary = NOTHING_KNOWN) -> list[str]:
    """What each token of a text points at, in the text as sent."""
    words = segment_text(text, LIMITS, segmenter())
    found = encode_words(words, vocabulary, SPEC, text=text)
    return [text[start:end] for start, end in found.spans]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我写的是数字七", ["我", "写", "的", "是", "数字", "七"]),
        ("The digit is Seven!", ["The", "digit", "is", "Seven", "!"]),
        ("数字ＡＢＣ，１２", ["数字", "ＡＢＣ", "，", "１２"]),
        ("cafe\u0301 noir", ["caf", "e\u0301", "noir"]),  # jieba knows no accented words
        ("a 😀 b", ["a", "😀", "b"]),
        ("ﬁve ﬂies", ["ﬁve", "ﬂies"]),
        ("  三\t\n four  ", ["三", "four"]),
        ("ｶﾞｽ", ["ｶﾞ", "ｽ"]),
    ],
)
def test_words_point_at_their_place_in_the_text_as_sent(text: str, words: list[str]) -> None:
    found = segment_text(text, LIMITS, segmenter())

    assert [text[word.start : word.end] for word in found] == words
    expected = [unicodedata.normalize("NFKC", word).lower() for word in words]
    assert [word.text for word in found] == expected


def test_full_width_and_upper_case_mean_the_same_word() -> None:
    [narrow], [wide] = (
        segment_text("seven", LIMITS, segmenter()),
        segment_text("ＳＥＶＥＮ", LIMITS, segmenter()),
    )

    assert narrow == wide


def test_composed_and_decomposed_characters_mean_the_same_word() -> None:
    for composed in ("é", "각", "ガ", "ở"):
        [one] = segment_text(composed, LIMITS, segmenter())
        [other] = segment_text(unicodedata.normalize("NFD", composed), LIMITS, segmenter())
        assert one.text == other.text == composed


def test_words_outside_the_vocabulary_become_their_characters() -> None:
    words = (Word("数字", 0, 2), Word("七", 2, 3), Word("zz", 3, 5))

    found = encode_words(words, Vocabulary(["数", "七", "z"]), SPEC, text=5 * "x")

    assert found.ids_L.tolist() == [2, UNKNOWN_ID, 3, 4, 4]
    assert found.spans == ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
    assert found.ids_L.dtype.name == "int64"
    assert PAD_ID not in found.ids_L


def test_characters_of_a_ligature_share_its_place() -> None:
    assert slices("ﬁve") == ["ﬁ", "ﬁ", "v", "e"]


def test_characters_point_right_where_growth_and_composition_cancel_out() -> None:
    assert slices("ﬁe\u0301") == ["ﬁ", "ﬁ", "e\u0301"]


def test_words_beyond_the_maximum_are_cut_off_and_flagged() -> None:
    words = segment_text("one two three", LIMITS, segmenter())
    vocabulary = Vocabulary(["one", "two", "three"])

    exact = encode_words(words, vocabulary, TextSpec(max_tokens=3), text="one two three")
    short = encode_words(words, vocabulary, TextSpec(max_tokens=2), text="one two three")

    assert (exact.ids_L.tolist(), exact.truncated) == ([2, 3, 4], False)
    assert (short.ids_L.tolist(), short.truncated) == ([2, 3], True)
    assert short.spans == ((0, 3), (4, 7))
    assert short.text == "one two three"


def test_a_text_over_the_cap_is_refused() -> None:
    limits = MediaLimits(max_characters=5)

    assert segment_text("seven", limits, segmenter())
    with pytest.raises(TooLargeError, match="6 characters; at most 5") as caught:
        segment_text("sevens", limits, segmenter())
    assert (caught.value.field, caught.value.limit, caught.value.value) == ("text", 5, 6)


@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000\u00a0"])
def test_a_text_of_nothing_but_white_space_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="no words") as caught:
        segment_text(text, LIMITS, segmenter())
    assert caught.value.field == "text"


@given(st.one_of(AWKWARD, st.text()).filter(lambda text: not text.isspace() and text != ""))
@settings(max_examples=300, deadline=None)
def test_tokens_stand_in_order_within_the_text_whatever_it_is(text: str) -> None:
    try:
        words = segment_text(text, LIMITS, segmenter())
    except DecodeError:
        assert not unicodedata.normalize("NFKC", text).strip()
        return
    spelled = encode_words(words, NOTHING_KNOWN, TextSpec(max_tokens=10**6), text=text)

    for spans in ([(word.start, word.end) for word in words], list(spelled.spans)):
        assert spans == sorted(spans)
        assert all(0 <= start < end <= len(text) for start, end in spans)
    for word in words:
        source = unicodedata.normalize("NFKC", text[word.start : word.end]).lower()
        assert word.text in source
        assert not word.text.isspace()


@given(st.one_of(AWKWARD, st.text()))
@settings(max_examples=300, deadline=None)
def test_words_together_are_the_normalised_text_without_white_space(text: str) -> None:
    try:
        words = segment_text(text, LIMITS, segmenter())
    except DecodeError:
        words = ()
    # Lower case is taken character by character: no final sigma, so that a word reads the same anywhere.
    expected = "".join(character.lower() for character in unicodedata.normalize("NFKC", text))

    assert "".join("".join(word.text for word in words).split()) == "".join(expected.split())


@pytest.mark.parametrize(
    "text",
    ["\ufdfa" * 10_000, "a" + "\u0301\u0323" * 4_999, "七" * 10_000, "\u1100" * 10_000, "ab" * 5_000],
    ids=["expands 18 times", "one letter, 9998 marks", "one word", "conjoining letters", "one Latin word"],
)
def test_no_text_under_the_cap_takes_long(text: str) -> None:
    segmenter()
    start = time.process_time()

    words = segment_text(text, LIMITS, segmenter())
    encode_words(words, NOTHING_KNOWN, SPEC, text=text)

    assert time.process_time() - start < 20  # quadratic, each of these takes minutes


def test_a_vocabulary_survives_being_written_and_read(tmp_path: Path) -> None:
    tokens = ["seven", "七", "é", "\u2028", "<", "😀"]

    (tmp_path / "vocabulary.txt").write_bytes(Vocabulary(tokens).to_bytes())
    found = Vocabulary.read(tmp_path / "vocabulary.txt")

    assert found.tokens == tuple(tokens)
    assert [found.id_of(token) for token in tokens] == [2, 3, 4, 5, 6, 7]
    assert found.id_of("eight") == UNKNOWN_ID
    assert len(found) == len(tokens) + 2
    assert "seven" in found
    assert "eight" not in found


@pytest.mark.parametrize("tokens", [["a", "b", "a"], ["<pad>"], ["<unk>"]])
def test_a_vocabulary_that_repeats_a_token_is_refused(tokens: list[str]) -> None:
    with pytest.raises(BundleError, match="twice"):
        Vocabulary(tokens)
