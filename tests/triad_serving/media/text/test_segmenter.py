"""jieba under a user's dictionary, and parts of speech. References: jieba.posseg, jieba's own data."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

import jieba
import jieba.posseg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triad_serving.contract.errors import SetupError
from triad_serving.media.text import segmenter as module
from triad_serving.media.text.segmenter import read_user_dictionary, segmenter
from triad_serving.media.text.spec import POS_TAGS

AWKWARD = "七八中国人民的了在是我有和大为上电脑北京abz019 .%_-+#&,。，😀éあ가㐀𠀀龥\t"
SENTENCES = (
    "丰台天伦锦城100-150平米2-3居可享98折优惠(图)",
    "帅康热门燃气灶qas-108-d热销价1885元",
    "a.o.史密斯的t恤和卡拉ok,iphone4s降到0.25%",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造",
    "the chest x-ray shows 3.5 cm consolidation, c++ & c#.",
)


def cut(text: str, user_dictionary: str = "") -> list[str]:
    return [word for word, _, _ in segmenter(user_dictionary).cut(text)]


def written(folder: Path, text: str) -> Path:
    path = folder / "words.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_word_is_cut_out_for_its_dictionary_only(tmp_path: Path) -> None:
    words = read_user_dictionary(written(tmp_path, "量子鸡尾酒 5 nz\n\nCOVID-19\n"))
    text = "量子鸡尾酒治不了covid-19"
    apart = ["量子", "鸡尾酒", "治", "不了", "covid", "-", "19"]

    assert cut(text) == apart
    assert cut(text, words) == ["量子鸡尾酒", "治", "不了", "covid-19"]
    assert "酒治不了" in cut(text, "酒治不了 999999\n")
    assert cut(text) == apart
    assert segmenter(words).tag("量子鸡尾酒") == "nz"
    assert segmenter().tag("量子鸡尾酒") != "nz"


@given(
    st.text(
        st.sampled_from("七八中国人民的了在是我有和大为上电脑北京abz019 .%_-+#&,。，😀éあ가㐀𠀀龥\t"),
        max_size=40,
    )
)
@settings(max_examples=1000, deadline=None)
def test_words_are_those_of_jieba(text: str) -> None:
    assert list(segmenter().cut(text)) == list(jieba.tokenize(text))


def test_words_of_sentences_are_those_of_jieba() -> None:
    for text in SENTENCES:
        assert cut(text) == jieba.lcut(text)


def test_words_of_a_user_dictionary_are_normalised_as_texts_are(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffＣＴ造影\nAspirin 3 nz\n")

    assert read_user_dictionary(path) == "ct造影\naspirin 3 nz\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cloud computing 5 n", "'cloud computing' can never be cut out"),
        ("naïve", "can never be cut out"),
        ("不对 0", "frequency of '不对' must be at least 1"),
        ("好 5 noun", "unknown part of speech 'noun'; known: a, ad"),
    ],
)
def test_a_line_that_could_have_no_effect_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(SetupError, match=r"words.txt, line 2: .*" + said):
        read_user_dictionary(written(tmp_path, f"好 3\n{line}\n"))


@pytest.mark.parametrize("data", [None, b"\xff"])
def test_a_user_dictionary_that_cannot_be_read_is_refused(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "words.txt").write_bytes(data)
    with pytest.raises(SetupError, match=r"words.txt cannot be read"):
        read_user_dictionary(tmp_path / "words.txt")


def test_every_tag_of_jieba_is_known() -> None:
    with jieba.dt.get_dict_file() as lines:
        of_dictionary = {line.split()[2].decode() for line in lines}
    of_model = {tag for _, tag in jieba.posseg.start_P}

    assert {*of_dictionary, *of_model, "eng"} == set(POS_TAGS)
    assert list(POS_TAGS) == sorted(POS_TAGS)


def test_tags_are_those_of_posseg_wherever_it_cuts_alike() -> None:
    sentence = "李小福是创新办主任，2011年 first 李湘"
    expected = jieba.posseg.POSTokenizer(module._base_tokenizer()).lcut(sentence)

    assert cut(sentence) == [pair.word for pair in expected]
    assert [segmenter().tag(word) for word in cut(sentence)] == [pair.flag for pair in expected]
    assert "李湘" not in module._base_tags()  # so that its model was asked


@pytest.mark.parametrize(
    ("word", "tag"),
    [("3", "m"), ("2.5", "m"), ("50%", "m"), ("covid-19", "eng"), ("，", "x"), ("é", "x"), ("😀", "x")],
)
def test_words_of_no_dictionary_have_a_tag_too(word: str, tag: str) -> None:
    assert segmenter().tag(word) == tag


@pytest.mark.parametrize("seen", [True, False], ids=["the most ambiguous characters", "rare characters"])
def test_no_text_takes_long_to_tag(seen: bool) -> None:
    """posseg itself takes 8.7 s for 1000 characters that its model never saw."""
    states = jieba.posseg.char_state_tab_P
    if seen:
        characters = sorted(states, key=lambda character: -len(states[character]))[:50]
    else:
        characters = [c for c in map(chr, range(0x4E00, 0x9FD5)) if c not in states]
    draw = random.Random(0)
    words = cut("".join(draw.choices(characters, k=2000)))
    start = time.process_time()

    assert {segmenter().tag(word) for word in words} <= set(POS_TAGS)

    assert time.process_time() - start < 2


def test_the_dictionary_is_read_without_a_cache_that_others_could_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """jieba keeps a marshalled cache under a fixed name in the temporary folder, open to every local user."""
    (tmp_path / "jieba.cache").write_bytes(b"planted")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for cached in (segmenter, module._base_tokenizer):
        cached.cache_clear()

    assert cut("我来到北京清华大学", "量子酒\n") == ["我", "来到", "北京", "清华大学"]
    assert (tmp_path / "jieba.cache").read_bytes() == b"planted"
    assert [file.name for file in tmp_path.iterdir()] == ["jieba.cache"]


def test_a_dictionary_is_read_once_a_process() -> None:
    assert segmenter() is segmenter()
    assert segmenter("量子酒\n") is segmenter("量子酒\n")
