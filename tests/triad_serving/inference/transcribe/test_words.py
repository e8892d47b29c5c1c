import pytest

from triad_serving.inference.transcribe.words import START, WordList

A, B, C, BLANK_BETWEEN = 1, 2, 3, 4


def accepts(words: WordList, outputs: list[int]) -> bool:
    state = START
    for output in outputs:
        if not words.allowed(state)[output]:
            return False
        state = words.step(state, output)
    return words.complete(state)


@pytest.mark.parametrize(
    ("outputs", "accepted"),
    [
        ([], True),
        ([A, B], True),
        ([A, B, C], True),  # one word, and also two
        ([A, B, C, C, A, B], True),
        ([A], False),
        ([A, C], False),
        ([B], False),
    ],
)
def test_words_follow_each_other_without_a_separator(outputs: list[int], accepted: bool) -> None:
    words = WordList([[A, B], [A, B, C], [C]], outputs=4)
    assert accepts(words, outputs) is accepted


@pytest.mark.parametrize(
    ("outputs", "accepted"),
    [
        ([A, B], True),
        ([A, B, BLANK_BETWEEN, C], True),
        ([A, B, C], False),
        ([A, B, BLANK_BETWEEN], False),
        ([BLANK_BETWEEN, C], False),
        ([A, B, BLANK_BETWEEN, BLANK_BETWEEN, C], False),
    ],
)
def test_a_separator_stands_between_words_and_nowhere_else(outputs: list[int], accepted: bool) -> None:
    assert accepts(WordList([[A, B], [C]], outputs=5, separator=BLANK_BETWEEN), outputs) is accepted


def test_an_empty_list_or_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no word"):
        WordList([], outputs=3)
    with pytest.raises(ValueError, match="empty"):
        WordList([[]], outputs=3)
