import math
from pathlib import Path

import numpy as np
import pytest

from triad_serving.contract.errors import BundleError, UnanswerableError
from triad_serving.contract.tasks import Decoding, Task
from triad_serving.inference.transcribe.ctc import log_probability, posteriors
from triad_serving.inference.transcribe.decoder import Decoder, symbols_of, text_of
from triad_serving.inference.transcribe.ngrams import NgramModel

DIGITS = Task(name="digits", type="transcript", labels=("one", "two", "three"), temperature=2.0)
LETTERS = Task(name="letters", type="transcript", labels=("a", "b", "c", " ", "sh"), joiner="")
PATH = [0, 1, 1, 0, 0, 3, 0]


def logits_of(path: list[int], outputs: int, height: float = 8.0) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.5, (len(path), outputs))
    return (height * np.eye(outputs)[path] + noise).astype(np.float32)


@pytest.mark.parametrize("beam", [1, 4])
def test_symbols_come_with_their_moments_and_probabilities(beam: int) -> None:
    task = Task(**{**vars(DIGITS), "decoding": Decoding(beam=beam)})
    logits_SK = logits_of(PATH, 4)
    heard = Decoder(task).decode(logits_SK)
    assert text_of(heard.symbols_U, task) == "one three"
    assert heard.spans_U2.tolist() == [[1, 3], [5, 6]]
    expected = math.exp(log_probability(posteriors(logits_SK, 2.0), [1, 3]))
    assert heard.probability == pytest.approx(expected)
    assert Decoder(task).probability(logits_SK, [1, 3]) == pytest.approx(expected)
    assert all(expected < each < 1 for each in heard.probabilities_U)


def test_probabilities_are_scaled_as_the_task_says() -> None:
    logits_SK = logits_of(PATH, 4)
    raw = Decoder(DIGITS).decode(logits_SK)
    task = Task(**{**vars(DIGITS), "decoding": Decoding(whole=(0.5, 1.0), each=(2.0, -1.0))})
    heard = Decoder(task).decode(logits_SK)
    assert _logit(heard.probability) == pytest.approx(0.5 * _logit(raw.probability) + 1.0)
    pairs = zip(heard.probabilities_U, raw.probabilities_U, strict=True)
    assert all(_logit(scaled) == pytest.approx(2 * _logit(own) - 1) for scaled, own in pairs)


@pytest.mark.parametrize("beam", [1, 4])
def test_no_sound_says_nothing(beam: int) -> None:
    task = Task(**{**vars(DIGITS), "decoding": Decoding(beam=beam)})
    heard = Decoder(task).decode(np.zeros((0, 4), dtype=np.float32))
    assert (list(heard.symbols_U), heard.spans_U2.shape, heard.probability) == ([], (0, 2), 1.0)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_certainty_is_scaled_without_overflow() -> None:
    task = Task(**{**vars(DIGITS), "decoding": Decoding(whole=(3.0, 0.0), each=(3.0, 0.0))})
    heard = Decoder(task).decode(logits_of(PATH, 4, height=1000.0))
    assert heard.probability == pytest.approx(1)
    assert Decoder(task).probability(logits_of(PATH, 4, height=1000.0), [2] * 9) == pytest.approx(0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_not_decoded(value: float) -> None:
    logits_SK = logits_of(PATH, 4)
    logits_SK[2, 1] = value
    with pytest.raises(UnanswerableError, match="no finite answer for digits"):
        Decoder(DIGITS).decode(logits_SK)
    with pytest.raises(UnanswerableError, match="no finite answer for digits"):
        Decoder(DIGITS).probability(logits_SK, [1])


def test_a_text_is_symbols_and_back() -> None:
    assert symbols_of("one three", DIGITS) == [1, 3]
    assert symbols_of("cash a", LETTERS) == [3, 1, 5, 4, 1]
    assert text_of([3, 1, 5, 4, 1], LETTERS) == "cash a"
    for text, task in (("one four", DIGITS), ("cat", LETTERS), ("one  two", DIGITS)):
        with pytest.raises(ValueError, match="is no symbol of"):
            symbols_of(text, task)


def test_letters_make_only_words_of_the_list() -> None:
    """The best path says "ab a": "ab" and "b" are words, "a" is none."""
    logits_SK = logits_of([1, 2, 4, 1], 6, height=3.0)
    task = Task(**{**vars(LETTERS), "decoding": Decoding(beam=8, words="words.txt")})
    assert text_of(Decoder(LETTERS).decode(logits_SK).symbols_U, LETTERS) == "ab a"
    assert text_of(Decoder(task, words=["ab", "b"]).decode(logits_SK).symbols_U, task) == "ab b"


def test_words_and_ngrams_come_from_the_bundles_files(tmp_path: Path) -> None:
    task = Task(
        **{**vars(DIGITS), "decoding": Decoding(beam=4, words="words.txt", ngrams="n.json", ngram_weight=1.0)}
    )
    (tmp_path / "words.txt").write_text("two\n\nthree\n", encoding="utf-8")
    ngrams = NgramModel.fit([[2, 3]], order=2, outputs=4)
    (tmp_path / "n.json").write_bytes(ngrams.to_json())
    logits_SK = logits_of(PATH, 4, height=2.0)
    found = Decoder.open(task, tmp_path).decode(logits_SK)
    assert found.symbols_U == Decoder(task, words=["two", "three"], ngrams=ngrams).decode(logits_SK).symbols_U
    assert 1 not in found.symbols_U
    assert 1 in Decoder(DIGITS).decode(logits_SK).symbols_U


@pytest.mark.parametrize(
    ("words", "ngrams", "message"),
    [
        ("four\n", b'{"order": 1, "outputs": 4, "counts": {}}', "'four' of 'four' is no symbol of digits"),
        ("one\n", b'{"order": 1, "outputs": 9, "counts": {}}', "its 9 outputs are not the task's 4"),
        ("one\n", b"{", "JSON"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, words: str, ngrams: bytes, message: str) -> None:
    task = Task(**{**vars(DIGITS), "decoding": Decoding(beam=4, words="words.txt", ngrams="n.json")})
    (tmp_path / "words.txt").write_text(words, encoding="utf-8")
    (tmp_path / "n.json").write_bytes(ngrams)
    with pytest.raises(BundleError, match=message):
        Decoder.open(task, tmp_path)


def test_an_impossible_decoding_is_refused() -> None:
    with pytest.raises(ValueError, match="beam is 0"):
        Decoding(beam=0)
    with pytest.raises(ValueError, match="need a beam"):
        Decoding(words="words.txt")
