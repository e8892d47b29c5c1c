import pytest

from triad_serving.inference.transcribe.ngrams import END, NgramModel


def test_probabilities_are_witten_and_bells() -> None:
    model = NgramModel.fit([[1, 2], [1, 2], [1, 1]], order=2, outputs=4)
    # c: END 3, "1" 4, "2" 2, three different ones; each of the 4 outputs is 1/4 below that.
    alone = [(3 + 3 / 4) / 12, (4 + 3 / 4) / 12, (2 + 3 / 4) / 12, (3 / 4) / 12]
    assert model.probabilities(()) == pytest.approx(alone)
    # Behind 1: "2" twice, "1" once, END once.
    behind = [(count + 3 * lower) / 7 for count, lower in zip((1, 1, 2, 0), alone, strict=True)]
    assert model.probabilities((1,)) == pytest.approx(behind)
    assert model.probabilities((2, 1)) == pytest.approx(behind)


def test_probabilities_sum_to_1_behind_whatever_was_never_seen() -> None:
    model = NgramModel.fit([[1, 2, 3, 1]], order=3, outputs=5)
    for context in ((), (1,), (1, 2), (4, 4), (2, 3)):
        assert model.probabilities(context).sum() == pytest.approx(1)
        assert (model.probabilities(context) > 0).all()
    assert model.probabilities((4, 4)) == pytest.approx(model.probabilities(()))


def test_a_model_comes_back_from_its_file() -> None:
    model = NgramModel.fit([[1, 2, 3, 1], [3]], order=3, outputs=4)
    again = NgramModel.from_json(model.to_json())
    assert (again.order, again.outputs) == (3, 4)
    for context in ((), (1,), (2, 3)):
        assert again.probabilities(context) == pytest.approx(model.probabilities(context))
    assert model.probabilities((3, 1))[END] > 0.5


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"order": 2, "outputs": 3, "counts": {"": {"3": 1}}}',
        b'{"order": 2, "outputs": 3, "counts": {"": {"1": 0}}}',
        b'{"order": 2, "outputs": 3, "counts": {"one": {"1": 2}}}',
    ],
)
def test_a_broken_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"order|valid|counted|invalid"):
        NgramModel.from_json(data)
