"""The linear experts of texts: TF-IDF of n-grams, of which each one's part is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.triad_training.layers.test_expert import TASKS, require_linear, require_shares, solved
from triad_serving.media.limits import MediaLimits
from triad_serving.media.padding import Padding
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.medium import TEXT
from triad_serving.media.text.ngrams import Ngrams, ngrams_of
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.words import Vocabulary
from triad_training.layers.expert import Look
from triad_training.media.text.expert import NgramExpert
from triad_training.media.text.ngrams import build_ngrams, is_word

SPEC = TextSpec(max_ngrams=400)
# No n-gram twice in a text: then counts and what is there are the same.
TEXTS = ["red moon", "red sun", "blue day", "sun day blue", "天气 red", "天气 好"]
WORDS = WordLexicon(vocabulary=Vocabulary(["red", "moon", "sun", "天气", "好"]))
LEXICON = WORDS.with_ngrams(build_ngrams(TEXTS, SPEC, WORDS))
assert LEXICON.ngrams is not None
ENTRIES = LEXICON.ngrams.entries


def read(text: str) -> TextInput:
    return LEXICON.encode(LEXICON.words(text, SPEC, MediaLimits()), SPEC, text=text)


def look(texts: list[str]) -> Look:
    packed = TEXT.pack([read(text) for text in texts], SPEC, Padding())
    inputs = [torch.from_numpy(packed[name]) for name in ("token_ids", "ngram_ids", "ngram_places")]
    return Look(inputs, torch.empty(0), inputs[0] > 0)


def expert(*, words: bool) -> NgramExpert:
    return NgramExpert(TASKS, [is_word(entry) is words for entry in ENTRIES])


def known(text: str, *, words: bool) -> list[str]:
    found = [place.entry for place in ngrams_of(text, read(text).spans)]
    return [entry for entry in found if entry in ENTRIES and is_word(entry) is words]


@pytest.mark.parametrize("words", [True, False])
def test_features_are_those_of_scikit_learns_tfidf(*, words: bool) -> None:
    own, seen = expert(words=words), look(TEXTS)
    features = own.stack([own.read(seen)])
    own.learn_scale(features)
    vocabulary = [entry for entry in ENTRIES if is_word(entry) is words]
    reference = TfidfVectorizer(
        analyzer=lambda text: known(text, words=words), vocabulary=vocabulary, norm="l2"
    ).fit_transform(TEXTS)
    scaled = own.scale(features)
    assert not isinstance(scaled, np.ndarray)
    assert scaled.toarray()[:, 1:] == pytest.approx(reference.toarray(), abs=1e-6)
    assert not scaled.toarray()[:, 0].any()  # of what is not of this kind


@pytest.mark.parametrize("words", [True, False])
def test_an_expert_answers_as_its_linear_model(*, words: bool) -> None:
    texts = ["red red moon", "unseen", "sun 天气天气 x"]
    require_linear(expert(words=words), look(TEXTS), look(texts))


@pytest.mark.parametrize("words", [True, False])
def test_parts_are_shares_of_the_valid_tokens(*, words: bool) -> None:
    own = expert(words=words)
    solved(own, look(TEXTS))
    require_shares(own, look(["red red moon", "unseen", "sun 天气"]))


@torch.inference_mode()
def test_the_part_of_a_token_is_what_the_ngrams_that_begin_there_add() -> None:
    own, item = expert(words=False), read("red moon")
    solved(own, look(TEXTS))
    answer = own(look(["red moon"]))
    best = int(answer.logits_NK[0, :3].argmax())
    row = {entry: n for n, entry in enumerate((e for e in ENTRIES if not is_word(e)), start=1)}
    added = np.zeros(len(item.ids_L))
    assert item.ngrams_G3 is not None
    for number, first, _ in item.ngrams_G3.tolist():
        if (entry := ENTRIES[number - 1]) in row:
            added[first] += abs(float(own.weight[row[entry], best]))
    assert answer.parts_NPT[0, :, 0].numpy() == pytest.approx(added / added.sum(), abs=1e-5)


@torch.inference_mode()
def test_a_text_of_which_nothing_is_known_gets_the_bias() -> None:
    own = expert(words=True)
    models = solved(own, look(TEXTS))
    assert own(look(["zzz"])).logits_NK[0, :3].numpy() == pytest.approx(models["kind"][1], abs=1e-6)


def test_ngrams_of_several_texts_are_known_those_of_most_first() -> None:
    texts = ["red moon", "red moon", "red sun", None, ""]
    found = build_ngrams(texts, SPEC, WORDS).entries
    assert found[:3] == ("=red", "=moon", "=red moon")
    assert not any("sun" in entry for entry in found)
    assert len(build_ngrams(["once"], SPEC, WORDS)) == 0
    assert isinstance(build_ngrams([], SPEC, WORDS), Ngrams)
