"""A transcript in every place where answers go. What the spoken model hears: tests/conftest.py."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import client_of, png_bytes, spoken_wav, wav_bytes, write_spoken_bundle
from triad_serving.contract.errors import BundleError, ParameterError, TooLargeError, UnanswerableError
from triad_serving.contract.outputs import Wanted
from triad_serving.contract.tasks import Decoding, Task
from triad_serving.drawing.compose import compose
from triad_serving.drawing.html.page import to_html
from triad_serving.drawing.png.page import to_png
from triad_serving.drawing.terminal import to_terminal
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.inference.answer import Attribution, Occlusion, Prediction, Transcript
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.options import ExplainOptions, Options
from triad_serving.inference.session import Session
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.operation.inspection import describe_bundle
from triad_serving.scoring.prediction_table import columns_of, row_of
from triad_serving.settings import Settings

SAID = ["", "low", "low", "", "low", "high", "", "mid"]
SOUND = spoken_wav(SAID)
RECORDING = spoken_wav(["", "low", "low", "", "high", "mid", ""] * 30)  # 8.4 s, windows of 2 s
BOTH = RawInputs(text="seven", audio=SOUND)


@pytest.fixture(scope="module")
def engine(spoken_bundle: Path) -> Iterator[Engine]:
    with Engine.open(spoken_bundle) as engine:
        yield engine


def transcript_of(prediction: Prediction) -> Transcript:
    found = prediction.predictions["spoken"]
    assert isinstance(found, Transcript)
    return found


def test_what_was_said_is_answered_with_its_moments(engine: Engine) -> None:
    found = transcript_of(engine.predict_sync(RawInputs(audio=SOUND)))
    assert found.text == "low low high mid"
    moments = [(each.symbol, each.start, each.end) for each in found.symbols]
    assert moments == [("low", 0.04, 0.12), ("low", 0.16, 0.2), ("high", 0.2, 0.24), ("mid", 0.28, 0.32)]
    assert 0.999 < found.probability < min(each.probability for each in found.symbols)


def test_without_a_sound_the_transcript_is_left_out_and_that_is_said(engine: Engine) -> None:
    prediction = engine.predict_sync(RawInputs(text="seven"), Options(explain="all", attention="full"))
    assert list(prediction.predictions) == ["kind", "tags", "size"]
    assert prediction.warnings == ["spoken: needs a sound."]
    assert engine.predict_sync(BOTH).warnings == []


def test_rows_of_a_batch_have_their_own_lengths(spoken_bundle: Path, engine: Engine) -> None:
    """With a sound that is longer, with none at all, and alone."""
    raws = [RawInputs(audio=SOUND), RawInputs(text="seven"), RawInputs(audio=wav_bytes(1.9))]

    async def together() -> list[Prediction]:
        async with Engine.open(spoken_bundle) as own:
            return await asyncio.gather(*(own.predict(raw, request_id="same") for raw in raws))

    alone = [engine.predict_sync(raw, request_id="same") for raw in raws]
    assert asyncio.run(together()) == alone
    assert transcript_of(alone[2]).text == "mid"


def test_a_beam_and_its_words_are_the_bundles(tmp_path: Path, engine: Engine) -> None:
    spoken = Task(
        name="spoken",
        type="transcript",
        labels=("low", "mid", "high"),
        decoding=Decoding(beam=4, words="words.txt"),
    )
    bundle = write_spoken_bundle(
        tmp_path, tasks=(*read_tasks(engine), spoken), files={"words.txt": b"low\nmid\n"}
    )
    with Engine.open(bundle) as own:
        found = transcript_of(own.predict_sync(BOTH))
    assert found.text == "low low mid"
    assert found.probability < 1e-6  # the model heard another


def read_tasks(engine: Engine) -> tuple[Task, ...]:
    return engine.catalog.find().bundle.tasks[:-1]


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    model = onnx.load_model_from_string((write_spoken_bundle(tmp_path) / "model.onnx").read_bytes())
    for constant in model.graph.initializer:
        value = numpy_helper.to_array(constant)
        if value.shape == () and value == -200.0:
            constant.CopyFrom(numpy_helper.from_array(np.array(np.nan, dtype=np.float32), constant.name))
    broken = write_spoken_bundle(tmp_path, version="2", model=model.SerializeToString())
    with Engine.open(broken) as engine, pytest.raises(UnanswerableError, match="no finite answer for spoken"):
        engine.predict_sync(BOTH)


def test_a_graph_that_gives_a_transcript_no_moments_is_refused(tmp_path: Path, tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    kind = Task(name="kind", type="transcript", labels=("a", "b"))
    with pytest.raises(BundleError, match="needs three axes"):
        Session(bundle.model_path, spec=bundle.spec, tasks=(kind, *bundle.tasks[1:]))


@pytest.mark.parametrize("repeats", [8, 11, 30])
def test_a_recording_in_windows_says_what_it_says_at_once(tmp_path: Path, repeats: int) -> None:
    """Its encoder is local, so that no token hears more in the whole than in its window."""
    raw = RawInputs(text="seven", audio=spoken_wav(["", "low", "low", "", "high", "mid", ""] * repeats))
    options = Options(attention="full")
    answers = []
    for name, max_s in (("windows", 2.0), ("whole", 60.0)):
        with Engine.open(write_spoken_bundle(tmp_path / name, max_s=max_s)) as engine:
            answers.append(engine.predict_sync(raw, options))
    in_windows, whole = map(transcript_of, answers)
    assert in_windows.text == " ".join(["low high mid"] * repeats)
    assert in_windows.symbols == whole.symbols
    assert in_windows.probability == whole.probability
    assert answers[0].warnings == ["After its first 2 s the sound was read for transcripts only."]
    assert answers[1].warnings == []
    assert in_windows.attention is not None
    assert whole.attention is not None
    assert sum(in_windows.attention.modalities.values()) == pytest.approx(1, abs=1e-5)
    assert in_windows.attention.audio is not None
    assert whole.attention.audio is not None
    pairs = zip(in_windows.attention.audio, whole.attention.audio, strict=True)
    assert all((one.start, one.end) == (other.start, other.end) for one, other in pairs)
    assert np.ptp([each.weight for each in in_windows.attention.audio]) < 1e-3  # the model attends evenly
    kind = answers[0].predictions["kind"].attention
    assert kind is not None
    assert kind.audio is not None
    assert kind.audio[-1].end == 2.0


def test_logits_of_windows_are_those_of_the_whole(tmp_path: Path) -> None:
    """Bit by bit, before they are decoded."""
    from triad_serving.inference.transcribe.joining import join_windows
    from triad_serving.media.preprocess import preprocess, preprocess_whole

    short, long = (
        read_bundle(write_spoken_bundle(tmp_path / str(max_s), max_s=max_s)) for max_s in (2.0, 60.0)
    )
    raw, limits = RawInputs(audio=RECORDING), MediaLimits()
    inputs, windows = preprocess_whole(raw, short.spec, short.assets, limits)
    rows = [inputs, *(inputs.having("audio", window.item) for window in windows[1:])]
    session = Session(short.model_path, spec=short.spec, tasks=short.tasks)
    joined = join_windows(session.run(rows, Wanted()), windows, ["spoken"])
    session = Session(long.model_path, spec=long.spec, tasks=long.tasks)
    (whole,) = session.run([preprocess(raw, long.spec, long.assets, limits)], Wanted())
    np.testing.assert_array_equal(joined.logits_K["spoken"], whole.logits_K["spoken"])


def explained(engine: Engine, raw: RawInputs, explain: str = "all") -> tuple[Attribution, Occlusion]:
    options = Options.model_validate({"explain": explain, "attention": "full"})
    found = transcript_of(engine.predict_sync(raw, options))
    assert found.attribution is not None
    assert found.occlusion is not None
    return found.attribution, found.occlusion


def test_the_sound_is_worth_all_of_a_transcript(engine: Engine) -> None:
    """Nothing is known without it: 0 for no medium, and 0 for the text alone."""
    probability = transcript_of(engine.predict_sync(BOTH)).probability
    attribution, occlusion = explained(engine, BOTH)
    assert (attribution.target, attribution.baseline) == ("low low high mid", 0.0)
    assert (attribution.text, attribution.audio) == (0.0, probability)
    assert (occlusion.target, occlusion.value) == ("low low high mid", probability)
    assert occlusion.text is not None
    assert [word.drop for word in occlusion.text] == [0.0]


@pytest.mark.parametrize("raw", [BOTH, RawInputs(audio=RECORDING)], ids=["short", "recording"])
def test_hiding_a_moment_costs_what_was_said_in_it(engine: Engine, raw: RawInputs) -> None:
    _, occlusion = explained(engine, raw)
    found = transcript_of(engine.predict_sync(raw))
    assert occlusion.audio is not None
    assert occlusion.audio[-1].end == pytest.approx(found.symbols[-1].end, abs=0.05)
    for part in occlusion.audio:
        whole = [s for s in found.symbols if part.start <= s.start and s.end <= part.end]
        touched = [s for s in found.symbols if part.start < s.end and s.start < part.end]
        if whole:
            assert part.drop > 0.9
        elif not touched:
            assert abs(part.drop) < 1e-3


def test_too_long_a_recording_is_not_explained(tmp_path: Path) -> None:
    with Engine.open(write_spoken_bundle(tmp_path, max_s=0.2)) as engine:
        raw = RawInputs(text="seven", image=png_bytes(), audio=wav_bytes(60.0))
        assert transcript_of(engine.predict_sync(raw)).text == "mid"
        with pytest.raises(TooLargeError, match="takes more than 2048 rows") as caught:
            engine.predict_sync(raw, Options(explain="all"))
    assert caught.value.field == "audio"


def test_a_symbol_is_no_label_to_explain(engine: Engine) -> None:
    with pytest.raises(ParameterError, match="No task has the label 'mid'"):
        engine.predict_sync(BOTH, Options(explain="shapley", target="mid"))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("raw", [BOTH, RawInputs(text="seven"), RawInputs(audio=RECORDING)])
def test_every_drawing_shows_what_was_heard(engine: Engine, raw: RawInputs, language: Any) -> None:
    bundle = engine.catalog.find().bundle
    prediction = engine.predict_sync(raw, ExplainOptions())
    scene = compose(prediction, raw, bundle.spec, MediaLimits(), language)
    names = [task.name for task in scene.tasks]
    page, lines = to_html(scene), to_terminal(scene, 80)
    Image.open(io.BytesIO(to_png(scene, asked=language))).verify()
    if raw.audio is None:
        assert "spoken" not in names
        return
    (marks,) = scene.tasks[names.index("spoken")].marks
    symbols = transcript_of(prediction).symbols
    assert [mark.name for mark in marks.marks] == [each.symbol for each in symbols]
    assert scene.wave is not None
    assert scene.wave.shown_s == pytest.approx(scene.wave.seconds)
    assert marks.title in page
    assert page.count('class="heard"') == len(symbols)
    assert f"<title>low 0.04–0.12 s, {100 * symbols[0].probability:.1f} %</title>" in page
    assert any(line.strip().startswith("0.04–") and " low " in line for line in lines.splitlines())


def test_the_wave_is_darker_where_something_was_heard(engine: Engine) -> None:
    bundle = engine.catalog.find().bundle
    raw = RawInputs(audio=spoken_wav(["", "", "mid", "", "", ""]))
    prediction = engine.predict_sync(raw, ExplainOptions(explain="none", attention="none"))
    scene = compose(prediction, raw, bundle.spec, MediaLimits(), "en")
    from triad_serving.drawing.png.fonts import Letters
    from triad_serving.drawing.png.raster import draw_marks

    (marks,) = scene.tasks[-1].marks
    assert scene.wave is not None
    pixels_HW = np.asarray(draw_marks(marks, scene.wave, Letters.of(16), 600).convert("L"))
    bottom_W = pixels_HW[-1]
    assert (bottom_W[205:295] < 200).all()
    assert (bottom_W[:195] == 255).all()
    assert (bottom_W[305:] == 255).all()


def test_nothing_heard_is_said_in_words(engine: Engine) -> None:
    bundle = engine.catalog.find().bundle
    raw = RawInputs(audio=spoken_wav([""] * 5))
    prediction = engine.predict_sync(raw, ExplainOptions())
    assert transcript_of(prediction).symbols == []
    scene = compose(prediction, raw, bundle.spec, MediaLimits(), "en")
    assert scene.tasks[-1].answer.startswith("nothing · ")
    assert scene.tasks[-1].marks == ()
    assert "Explained: the probability of nothing." in to_html(scene)


def test_v1_v2_and_metrics_tell_of_it(spoken_bundle: Path) -> None:
    sound = base64.b64encode(SOUND).decode()
    body = {
        "inputs": [
            {"name": "audio", "datatype": "BYTES", "shape": [2], "data": [sound, ""]},
            {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["", "seven"]},
        ],
        "outputs": [
            {"name": name} for name in ("text.spoken", "probability.spoken", "attention.spoken.audio")
        ],
    }

    async def talk() -> tuple[Any, Any, Any, str]:
        async with client_of(create_app(Settings(models=spoken_bundle))) as client:
            return (
                (await client.post("/v1/predict", files={"audio": SOUND})).json(),
                (await client.get("/v1/models/spoken/versions/1")).json(),
                (await client.post("/v2/models/spoken/infer", json=body)).json(),
                (await client.get("/metrics")).text,
            )

    v1, version, v2, metrics = asyncio.run(talk())
    spoken = v1["predictions"]["spoken"]
    assert (spoken["type"], spoken["text"], len(spoken["symbols"])) == ("transcript", "low low high mid", 4)
    assert version["tasks"][-1] == {"name": "spoken", "type": "transcript", "labels": ["low", "mid", "high"]}
    tensors = {each["name"]: each["data"] for each in v2["outputs"]}
    assert tensors["text.spoken"] == ["low low high mid", ""]
    assert tensors["probability.spoken"] == [pytest.approx(spoken["probability"], abs=1e-6), 0.0]
    assert tensors["attention.spoken.audio"] == [1.0, 0.0]
    samples = {
        (sample.name, sample.labels.get("task")): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }
    assert samples["triad_confidence_count", "spoken"] == 2


def test_a_table_has_its_text_and_probability(engine: Engine) -> None:
    bundle = engine.catalog.find().bundle
    columns = columns_of(bundle.tasks, bundle.spec.media, [], attention=False)
    assert (columns["spoken"], columns["spoken_probability"]) == (str, float)
    row = row_of(engine.predict_sync(BOTH))
    assert row["spoken"] == "low low high mid"
    assert row["spoken_probability"] > 0.999
    assert "spoken" not in row_of(engine.predict_sync(RawInputs(text="seven")))


def test_inspect_names_its_symbols(spoken_bundle: Path) -> None:
    assert "  spoken  transcript of 3: low, mid, high" in describe_bundle(read_bundle(spoken_bundle))
