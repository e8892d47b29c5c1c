"""Which words a model is taught. References: scikit-learn, and words planted to tell of the labels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from sklearn.feature_selection import chi2
from sklearn.metrics import mutual_info_score

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import ConfigError, SetupError
from triad_serving.contract.tasks import Task
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.spec import TextSpec
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.media.text.config import LexiconConfig
from triad_training.media.text.vocabulary import build_lexicon, mutual_information, score_words

KIND = Task(name="kind", type="classification", labels=("a", "b"))
TAGS = Task(name="tags", type="multilabel", labels=("x", "y"))
SIZE = Task(name="size", type="regression")
# Words in every text; one that tells kind, one that tells tag y, one that tells size.
TEXTS = [
    f"frequent filler common {'kindly' * (n % 2)} {'tagged' * (n % 3 == 0)} {'sizeable' * (n >= 60)} once{n}x"
    for n in range(120)
]
TARGETS: dict[str, F32] = {
    "kind": np.array([n % 2 for n in range(120)], dtype=np.float32),
    "tags": np.array([[n % 4 == 0, n % 3 == 0] for n in range(120)], dtype=np.float32),
    "size": np.array([math.nan if n == 3 else n for n in range(120)], dtype=np.float32),
}


def lexicon(*tasks: Task, spec: TextSpec = TextSpec(), **options: object) -> WordLexicon:  # noqa: B008
    config = LexiconConfig.model_validate({"min_count": 1} | options)
    return build_lexicon(config, spec, TEXTS, tasks, TARGETS)


def words(found: WordLexicon) -> list[str]:
    return [token for token in found.vocabulary.tokens if len(token) > 1]


def test_by_default_it_holds_frequent_words_then_every_character() -> None:
    found = lexicon(min_count=2)
    assert words(found) == ["frequent", "filler", "common", "kindly", "sizeable", "tagged"]
    assert found.vocabulary.tokens[6:] == tuple(sorted(set("".join(TEXTS)) - {" "}))


@pytest.mark.parametrize("select", ["mutual_information", "chi2"])
@pytest.mark.parametrize(("task", "best"), [(KIND, "kindly"), (TAGS, "tagged"), (SIZE, "sizeable")])
def test_the_word_that_tells_most_of_a_task_is_taken(select: str, task: Task, best: str) -> None:
    found = lexicon(task, select=select, max_words=1)
    assert words(found) == [best]
    assert {"f", "q", "7"} <= set(found.vocabulary.tokens)  # characters of words that were left out


@pytest.mark.parametrize("select", ["mutual_information", "chi2"])
def test_every_task_has_its_best_words_in(select: str) -> None:
    found = lexicon(KIND, TAGS, SIZE, select=select, max_words=3)
    assert set(words(found)) == {"kindly", "tagged", "sizeable"}


def test_by_frequency_a_maximum_takes_the_most_frequent() -> None:
    assert words(lexicon(KIND, max_words=3)) == ["frequent", "filler", "common"]
    assert words(lexicon(KIND, max_words=1000)) == words(lexicon(KIND))


def test_mutual_information_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    present_NW, classes_N = rng.random((40, 6)) < 0.3, rng.integers(0, 4, 40)
    present_NW[:, 4:] = [True, False]  # words that say nothing
    expected = [mutual_info_score(classes_N, present_NW[:, w]) for w in range(6)]
    found = mutual_information(scipy.sparse.csr_matrix(present_NW.astype(float)), classes_N)
    assert found == pytest.approx(expected, abs=1e-12)


def test_scores_are_of_labelled_texts_only() -> None:
    present_NW = scipy.sparse.csr_matrix([[1.0, 0], [0, 1], [1, 1], [0, 0], [1, 0]])
    target = np.array([0, 1, 0, 1, math.nan], dtype=np.float32)
    expected = chi2(present_NW[:4], [0, 1, 0, 1])[0]
    assert score_words(present_NW, KIND, target, "chi2") == pytest.approx(expected)
    assert score_words(present_NW[:, [0, 0]] * 0, KIND, target, "chi2").tolist() == [0, 0]


def test_stop_words_come_from_lists_and_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Filler\n", encoding="utf-8")
    found = lexicon(stop_words=["en", str(tmp_path / "mine.txt")])
    assert {"the", "filler"} <= found.stop_words
    assert "的" not in found.stop_words
    assert "filler" not in words(found)
    assert "的" in lexicon(stop_words=["zh"]).stop_words


def test_a_language_without_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lexicon.stop_words: no list for 'xx'; there are af, "):
        lexicon(stop_words=["xx"])


def test_a_user_dictionary_joins_words(tmp_path: Path) -> None:
    (tmp_path / "user.txt").write_text("量子鸡尾酒\n", encoding="utf-8")
    config = LexiconConfig(user_dictionary=tmp_path / "user.txt", min_count=1)
    found = build_lexicon(config, TextSpec(), ["喝量子鸡尾酒", None], [], {})
    assert words(found) == ["量子鸡尾酒"]
    with pytest.raises(SetupError, match=r"nowhere.txt cannot be read"):
        build_lexicon(
            config.model_copy(update={"user_dictionary": Path("nowhere.txt")}), TextSpec(), [], [], {}
        )


def test_files_are_named_relative_to_the_config_and_stored_without_a_path(toy_folder: Path) -> None:
    overrides = ['lexicon.stop_words=["zh", "stop.txt"]', "lexicon.user_dictionary=user.txt"]
    config = load_config(toy_folder / "config.toml", overrides)
    assert config.lexicon.stop_words == ("zh", str(toy_folder / "stop.txt"))
    assert config.lexicon.user_dictionary == toy_folder / "user.txt"
    stored = config.portable()["lexicon"]
    assert (stored["stop_words"], stored["user_dictionary"]) == (["zh", "stop.txt"], "user.txt")


def test_a_selection_needs_something_to_select_from(toy_folder: Path) -> None:
    with pytest.raises(ConfigError, match="needs max_words"):
        load_config(toy_folder / "config.toml", ["lexicon.select=chi2"])


def test_the_config_of_an_older_bundle_is_read(toy_folder: Path) -> None:
    document = load_config(toy_folder / "config.toml").portable()
    del document["lexicon"]
    document["model"]["min_word_count"] = 7
    assert TrainConfig.model_validate(document).lexicon.min_count == 7
