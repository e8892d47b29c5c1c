"""N-grams of a text: those of scikit-learn, the tokens that each touches, and what hiding leaves of them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from triad_serving.contract.errors import BundleError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.medium import Part
from triad_serving.media.text.lexicon import WordLexicon, read_lexicon
from triad_serving.media.text.medium import TEXT
from triad_serving.media.text.ngrams import LETTER, NGRAMS_FILE, Ngrams, Place, ngrams_of
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.words import Vocabulary

LIMITS = MediaLimits()
SPEC = TextSpec(max_ngrams=1000)
WORDS = WordLexicon(vocabulary=Vocabulary(["the", "cat", "sat", "天气", "今天", "不错", "a"]))
TEXTS = (
    "the cat sat on the other mat",
    "a I x",
    "今天天气 不错 weather",
    "Ｔｈｅ ＣＡＴ ㎏ ﬁne",
    "cafe\u0301 naïve Straße",
    "snake_case 42 7",
)


def read(text: str, lexicon: WordLexicon = WORDS, spec: TextSpec = SPEC) -> TextInput:
    return lexicon.encode(lexicon.words(text, spec, LIMITS), spec, text=text)


def places(text: str) -> list[Place]:
    return list(ngrams_of(text, read(text).spans))


def entries(text: str) -> list[str]:
    return [place.entry for place in places(text)]


def knowing(found: Sequence[str]) -> WordLexicon:
    return WORDS.with_ngrams(Ngrams(found))


def touched(item: TextInput, lexicon: WordLexicon) -> Counter[tuple[str, str, str]]:
    """Each n-gram with its first and its last token, as they stand in the text."""
    assert item.ngrams_G3 is not None
    assert lexicon.ngrams is not None
    tokens = [item.text[start:end] for start, end in item.spans]
    known = lexicon.ngrams.entries
    return Counter((known[i - 1], tokens[first], tokens[last]) for i, first, last in item.ngrams_G3.tolist())


def sklearn_counts(text: str, vectorizer: CountVectorizer) -> Counter[str]:
    return Counter(vectorizer.build_analyzer()(text))


@pytest.mark.parametrize("text", TEXTS)
def test_runs_of_characters_are_those_of_scikit_learn(text: str) -> None:
    """Reference: char_wb of the normal form; a single ideograph or accented letter counts besides."""
    normal = unicodedata.normalize("NFKC", text)
    expected = sklearn_counts(normal, CountVectorizer(analyzer="char_wb", ngram_range=(2, 5)))
    expected += Counter(c for c in normal.lower() if not c.isspace() and not LETTER.match(c))
    assert Counter(entry for entry in entries(text) if not entry.startswith("=")) == expected


@pytest.mark.parametrize(
    "text", [*(text for text in TEXTS if "今天" not in text), "Well, it's (really) good. 天气，不错！"]
)
def test_words_and_pairs_are_those_of_scikit_learn(text: str) -> None:
    vectorizer = CountVectorizer(token_pattern=r"\w+", ngram_range=(1, 2))
    expected = sklearn_counts(unicodedata.normalize("NFKC", text), vectorizer)
    assert Counter(entry[1:] for entry in entries(text) if entry.startswith("=")) == expected


def test_every_ngram_knows_the_tokens_that_it_touches() -> None:
    lexicon = knowing(["=the cat", "he", " cat ", "天气", "天", "=今天天气", "天天"])
    found = touched(read("The cat, 今天天气", lexicon), lexicon)
    assert found == Counter(
        [
            ("=the cat", "The", "cat"),
            ("he", "The", "The"),
            (" cat ", "cat", "cat"),
            ("天气", "天", "气"),  # jieba keeps 今天天气 whole; unknown, it becomes its characters
            ("天", "天", "天"),
            ("天", "天", "天"),
            ("天天", "天", "天"),
        ]
    )


@pytest.mark.parametrize(
    ("text", "entry", "token"),
    [
        ("5 ㎏ sat", "kg", "㎏"),  # one character becomes two
        ("cafe\u0301 sat", "fé ", "e\u0301"),  # two become one
        ("ＣＡＴ sat", "=cat", "ＣＡＴ"),
        ("ﬁx sat", " fi", "ﬁ"),
    ],
)
def test_places_are_of_the_text_as_sent(text: str, entry: str, token: str) -> None:
    lexicon = knowing([entry])
    ((found, _, last),) = touched(read(text, lexicon), lexicon)
    assert (found, last) == (entry, token)


def test_without_spaces_the_tokens_are_the_words() -> None:
    """In Chinese and Japanese only: an unknown word of letters with accents or of Cyrillic stays whole."""
    assert [entry for entry in entries("天气不错 мир naïve") if entry.startswith("=")] == [
        "=天气",
        "=不错",
        "=天气 不错",
        "=мир",
        "=不错 мир",
        "=naïve",
        "=мир naïve",
    ]


def test_what_is_not_read_separates_words_and_is_not_looked_up() -> None:
    stopping = WordLexicon(vocabulary=WORDS.vocabulary, stop_words=frozenset({"cat"}))
    item = read("the cat sat", stopping)
    found = [place.entry for place in ngrams_of(item.text, item.spans)]
    assert [entry for entry in found if entry.startswith("=")] == ["=the", "=sat", "=the sat"]
    assert not any("c" in entry for entry in found)


def test_a_text_cut_off_has_no_ngram_behind_the_cut() -> None:
    text, short = "the cat sat", TextSpec(max_tokens=2, max_ngrams=1000)
    lexicon = knowing(list(dict.fromkeys(entries(text))))
    item = read(text, lexicon, short)
    assert item.truncated
    assert {entry for entry, _, _ in touched(item, lexicon)} == set(entries("the cat"))


def test_only_the_first_ngrams_are_read_where_there_are_too_many() -> None:
    text = "the cat sat"
    lexicon = knowing(list(dict.fromkeys(entries(text))))
    whole, few = read(text, lexicon).ngrams_G3, read(text, lexicon, TextSpec(max_ngrams=5)).ngrams_G3
    assert whole is not None
    assert few is not None
    assert len(few) == 5
    assert np.array_equal(few, whole[:5])


def test_what_is_not_known_is_not_read() -> None:
    item = read("the cat sat", knowing(["=dog"]))
    assert item.ngrams_G3 is not None
    assert item.ngrams_G3.shape == (0, 3)
    assert read("the cat sat").ngrams_G3 is None  # no n-grams at all: nor a shape


@pytest.mark.parametrize("hidden", range(8))
def test_hiding_a_token_leaves_the_ngrams_that_did_not_touch_it(hidden: int) -> None:
    text = "the cat 今天天气 不错 sat"
    lexicon = knowing(list(dict.fromkeys(entries(text))))
    item = read(text, lexicon)
    assert item.ngrams_G3 is not None
    found = TEXT.hide(item, [Part(medium="text", first=hidden, last=hidden + 1)], SPEC)
    assert found is not None
    assert found.ngrams_G3 is not None
    place = {token: token - (token > hidden) for token in range(8)}
    assert found.ngrams_G3.tolist() == [
        [number, place[first], place[last]]
        for number, first, last in item.ngrams_G3.tolist()
        if hidden not in range(first, last + 1)
    ]


@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_a_text_with_a_word_hidden_is_the_text_without_it(hidden: int) -> None:
    """But for the pair of its neighbours, which nobody wrote."""
    words = ["the", "cat", "sat"]
    lexicon = knowing(list(dict.fromkeys(entries("the cat sat"))))  # not "=the sat"
    item = read(" ".join(words), lexicon)
    found = TEXT.hide(item, [Part(medium="text", first=hidden, last=hidden + 1)], SPEC)
    without = read(" ".join(word for word in words if word != words[hidden]), lexicon)
    assert found is not None
    assert found.ngrams_G3 is not None
    assert without.ngrams_G3 is not None
    assert found.ids_L.tolist() == without.ids_L.tolist()
    assert found.ngrams_G3.tolist() == without.ngrams_G3.tolist()


def test_hiding_every_word_leaves_no_text() -> None:
    item = read("the cat", knowing(["=the"]))
    assert TEXT.hide(item, [Part(medium="text", first=0, last=2)], SPEC) is None


def test_ngrams_come_back_from_their_file(tmp_path: Path) -> None:
    lexicon = knowing(["=the cat", " th", "天"])
    for name, data in lexicon.files().items():
        (tmp_path / name).write_bytes(data)
    again = read_lexicon(tmp_path, lexicon.files())
    assert again.ngrams is not None
    assert again.ngrams.entries == ("=the cat", " th", "天")
    assert NGRAMS_FILE not in WORDS.files()


def test_a_file_that_is_not_of_ngrams_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="name an entry twice"):
        Ngrams(["=a", "=a"])
    (tmp_path / NGRAMS_FILE).write_bytes(b"\xff\n")
    with pytest.raises(BundleError, match="not UTF-8"):
        Ngrams.read(tmp_path / NGRAMS_FILE)
