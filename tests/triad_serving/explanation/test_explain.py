"""Explanations of the tiny model, whose values are computed by hand (see conftest)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SPEC, png_bytes, wav_bytes
from triad_serving.contract.errors import ParameterError
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Attribution, Classification, Occlusion, TaskPrediction
from triad_serving.inference.options import Options
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.session import Session
from triad_serving.media.example import RawInputs

# t = (2 + 3) / 10, i = 4 * 102 / 255, a = 4 * 0.5
WHOLE = RawInputs(text="seven 七", image=png_bytes(value=102), audio=wav_bytes(0.1, peak=0.5))
TEXT, IMAGE, AUDIO = 0.5, 1.6, 2.0
MEDIA = ("text", "image", "audio")
SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(MEDIA, size)]


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine.open(tiny_bundle) as engine:
        yield engine


def ask(engine: Engine, raw: RawInputs = WHOLE, **options: object) -> dict[str, TaskPrediction]:
    return engine.predict_sync(raw, Options.model_validate(options)).predictions


def attribution_of(prediction: TaskPrediction) -> Attribution:
    assert prediction.attribution is not None
    return prediction.attribution


def occlusion_of(prediction: TaskPrediction) -> Occlusion:
    assert prediction.occlusion is not None
    return prediction.occlusion


def of(raw: RawInputs, media: tuple[str, ...]) -> RawInputs:
    return RawInputs(**{medium: getattr(raw, medium) for medium in media})


@pytest.mark.parametrize("media", SUBSETS, ids="+".join)
def test_baseline_and_values_sum_to_what_is_answered(engine: Engine, media: tuple[str, ...]) -> None:
    for prediction in ask(engine, of(WHOLE, media), explain="shapley").values():
        found = attribution_of(prediction)
        values = {medium: getattr(found, medium) for medium in MEDIA}
        assert {medium for medium, value in values.items() if value is not None} == set(media)
        answered = prediction.top[0].probability if prediction.type != "regression" else prediction.value
        assert found.baseline + sum(filter(None, values.values())) == pytest.approx(answered, abs=1e-5)
        assert len(found.interactions) == len(media) * (len(media) - 1) // 2


def test_what_adds_up_is_attributed_as_it_was_added(engine: Engine) -> None:
    """logits.size = t + i + a, and nothing where nothing is there."""
    found = attribution_of(ask(engine, explain="shapley")["size"])
    assert (found.baseline, found.text, found.image, found.audio) == pytest.approx(
        (0, TEXT, IMAGE, AUDIO), abs=1e-5
    )
    assert [(each.value, each.relation) for each in found.interactions] == [(0, "add up")] * 3


def test_two_that_raise_different_classes_contradict(engine: Engine) -> None:
    """kind = [t, i, a]: for "sound", the image speaks against it, the sound for it."""
    found = attribution_of(ask(engine, explain="shapley")["kind"])
    assert found.target == "sound"
    assert found.audio is not None
    assert found.image is not None
    assert found.audio > 0 > found.image
    relations = {each.media: each.relation for each in found.interactions}
    assert relations["image", "audio"] == "contradict"


def test_another_label_can_be_explained(engine: Engine) -> None:
    predictions = ask(engine, explain="all", target="picture")
    found = attribution_of(predictions["kind"])
    exp = np.exp(np.array([TEXT, IMAGE, AUDIO]) / 2)
    assert found.target == occlusion_of(predictions["kind"]).target == "picture"
    assert found.image is not None
    assert found.image > 0
    total = found.baseline + sum(filter(None, (found.text, found.image, found.audio)))
    assert total == pytest.approx(exp[1] / exp.sum(), abs=1e-5)
    assert isinstance(predictions["kind"], Classification)
    assert predictions["kind"].label == "sound"
    assert attribution_of(predictions["tags"]).target == "seen"  # has no such label: its likeliest


def test_a_label_that_no_task_has_is_refused(engine: Engine) -> None:
    with pytest.raises(ParameterError, match="No task has the label 'cat'"):
        ask(engine, explain="shapley", target="cat")


def test_what_a_part_adds_is_its_drop(engine: Engine) -> None:
    """Words add id / 10 each; in an even image no cell stands out; the sound is as loud in each moment."""
    found = occlusion_of(ask(engine, explain="occlusion")["size"])
    assert found.value == pytest.approx(TEXT + IMAGE + AUDIO, abs=1e-5)
    assert found.text is not None
    assert [(word.token, word.start, word.end) for word in found.text] == [("seven", 0, 5), ("七", 6, 7)]
    assert [word.drop for word in found.text] == pytest.approx([0.2, 0.3], abs=1e-5)
    assert found.image is not None
    assert np.array(found.image.drops) == pytest.approx(np.zeros((2, 2)), abs=1e-5)
    assert found.audio is not None
    assert [moment.drop for moment in found.audio] == pytest.approx([0, 0], abs=1e-5)
    assert [(moment.start, moment.end) for moment in found.audio] == [(0, 0.04), (0.04, 0.08)]


def test_parts_bear_the_attention_they_got(engine: Engine) -> None:
    prediction = ask(engine, explain="occlusion", attention="full")["kind"]
    found, attention = occlusion_of(prediction), prediction.attention
    assert attention is not None
    assert found.image is not None
    assert attention.image is not None
    assert found.image.weights == attention.image.weights
    assert [word.weight for word in found.text or []] == [word.weight for word in attention.text or []]
    assert [part.weight for part in found.audio or []] == [part.weight for part in attention.audio or []]


def test_without_its_only_word_nothing_but_the_prior_is_known(engine: Engine) -> None:
    found = occlusion_of(ask(engine, RawInputs(text="seven"), explain="occlusion")["kind"])
    assert found.text is not None
    assert found.text[0].drop == pytest.approx(found.value - 1 / 3, abs=1e-5)


def test_explanations_come_only_where_asked_for(engine: Engine) -> None:
    for explain, expected in {"none": (0, 0), "shapley": (1, 0), "occlusion": (0, 1), "all": (1, 1)}.items():
        found = ask(engine, explain=explain)["kind"]
        assert (found.attribution is not None, found.occlusion is not None) == expected


def test_each_medium_is_encoded_once_for_all_subsets(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []

    def run(self: Session, batch: object, wanted: object) -> object:
        feed = pack_batch(batch, SPEC)  # type: ignore[arg-type]
        sizes.append(tuple(len(feed[name]) for name in ("token_ids", "pixels", "samples", "text_row")))
        return original(self, batch, wanted)  # type: ignore[arg-type]

    original = Session.run
    with Engine.open(tiny_bundle) as engine:
        monkeypatch.setattr(Session, "run", run)
        ask(engine, explain="shapley")
    assert sizes == [(1, 1, 1, 7)]


def test_rollout_and_heads_come_with_full_attention(engine: Engine) -> None:
    """Every one of the 2 + 4 + 2 tokens has the same rollout; each medium looks at itself."""
    found = engine.predict_sync(WHOLE, Options(attention="full"))
    assert found.fusion is not None
    assert found.fusion[0].heads == [{m: {n: float(m == n) for n in MEDIA} for m in MEDIA}]
    attention = found.predictions["kind"].attention
    assert attention is not None
    assert attention.image is not None
    assert attention.image.rollout == [[0.125, 0.125]] * 2
    assert [word.rollout for word in attention.text or []] == [0.125] * 2
