"""The session on a graph whose answers are computed by hand here (see conftest: the tiny model)."""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from triad_serving.contract.errors import BundleError
from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.session import Session
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.padding import Padding
from triad_serving.media.text.spec import TextInput, TextSpec

MEDIA = ("text", "image", "audio")
SUBSETS: list[tuple[MediumName, ...]] = [
    subset for size in range(1, 4) for subset in itertools.combinations(MEDIA, size)
]
ALL = Wanted(attention=True, embeddings=True)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")


def text_of(*ids: int) -> TextInput:
    spans = tuple((i, i + 1) for i in range(len(ids)))
    return TextInput(text="x" * len(ids), ids_L=np.array(ids, dtype=np.int64), spans=spans, truncated=False)


def image_of(value: int) -> ImageInput:
    pixels_HW3 = np.full((4, 4, 3), value, dtype=np.uint8)
    return ImageInput(pixels_HW3=pixels_HW3, format="PNG", width=4, height=4, region=(0, 0, 4, 4))


def sound_of(samples: int, peak: int) -> AudioInput:
    return AudioInput(
        samples_T=np.full(samples, peak, dtype=np.int16),
        format="WAV",
        seconds=samples / 8000,
        sample_rate_hz=8000,
        truncated=False,
        peak=peak / 32768,
    )


def mixed_batch() -> list[ModelInputs]:
    """All seven subsets of three examples with texts and sounds of different lengths."""
    examples = [
        ModelInputs(text=text_of(2, 3), image=image_of(51), audio=sound_of(200, 8192)),
        ModelInputs(text=text_of(5), image=image_of(255), audio=sound_of(4000, -16384)),
        ModelInputs(text=text_of(1, 4, 4, 2, 3), image=image_of(0), audio=sound_of(839, 100)),
    ]
    return [example.only(*subset) for subset in SUBSETS for example in examples]


def expected_scores(inputs: ModelInputs) -> tuple[float, float, float]:
    text = inputs.text.ids_L.sum() / 10 if inputs.text else 0.0
    image = 4 * inputs.image.pixels_HW3.mean() / 255 if inputs.image else 0.0
    audio = 4 * np.abs(inputs.audio.samples_T.astype(float)).max() / 32768 if inputs.audio else 0.0
    return float(text), float(image), float(audio)


def expected_attention(inputs: ModelInputs) -> dict[str, np.ndarray]:
    """A word and a sound token weigh 1, an image cell 1 + its brightness; all divided by their sum."""
    weights = {}
    if inputs.text:
        weights["text"] = np.ones(len(inputs.text.ids_L))
    if inputs.image:
        weights["image"] = np.full(4, 1 + inputs.image.pixels_HW3.mean() / 255)
    if inputs.audio:
        frames = (len(inputs.audio.samples_T) - 200) // 80 + 1
        weights["audio"] = np.ones(-(-frames // 4))
    total = sum(weight.sum() for weight in weights.values())
    return {medium: weight / total for medium, weight in weights.items()}


def assert_same(one: ModelOutputs, other: ModelOutputs) -> None:
    for found, expected in ((one.logits_K, other.logits_K), (one.embeddings_D, other.embeddings_D)):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-6)
    assert one.attention.keys() == other.attention.keys()
    for task, by_medium in other.attention.items():
        assert one.attention[task].keys() == by_medium.keys()
        for medium, weights in by_medium.items():
            np.testing.assert_allclose(one.attention[task][medium], weights, atol=1e-6)


def test_every_mixture_of_media_in_one_batch_is_answered_as_by_hand(session: Session) -> None:
    batch = mixed_batch()

    for inputs, found in zip(batch, session.run(batch, ALL), strict=True):
        text, image, audio = expected_scores(inputs)
        np.testing.assert_allclose(found.logits_K["kind"], [text, image, audio], atol=1e-6)
        np.testing.assert_allclose(found.logits_K["tags"], [text - 1, image - 1], atol=1e-6)
        np.testing.assert_allclose(found.logits_K["size"], [text + image + audio], atol=1e-6)
        for task in ("kind", "tags", "size"):
            weights = expected_attention(inputs)
            assert found.attention[task].keys() == weights.keys()
            for medium, weight in weights.items():
                np.testing.assert_allclose(found.attention[task][medium], weight, atol=1e-6)


def test_one_by_one_and_in_any_batch_the_answers_agree(session: Session) -> None:
    batch = mixed_batch()
    alone = [session.run([inputs], ALL)[0] for inputs in batch]

    for order in (list(range(len(batch))), list(np.random.default_rng(0).permutation(len(batch)))):
        together = session.run([batch[i] for i in order], ALL)
        for i, found in zip(order, together, strict=True):
            assert_same(found, alone[i])


@pytest.mark.parametrize("subset", SUBSETS)
def test_a_medium_that_nobody_sends_has_no_items_and_no_answer(
    bundle: Bundle, session: Session, subset: tuple[MediumName, ...]
) -> None:
    example = mixed_batch()[-1].only(*subset)
    batch = [example, example]

    feed = pack_batch(batch, bundle.spec)
    found = session.run(batch, ALL)[0]

    for medium, name in zip(MEDIA, ("token_ids", "pixels", "samples"), strict=True):
        assert len(feed[name]) == (1 if medium in subset else 0)
        assert feed[f"{medium}_row"].tolist() == [0, 0]
    assert set(found.attention["kind"]) == set(subset)
    assert set(found.embeddings_D) == {*subset, "fused"}
    assert sum(float(weight.sum()) for weight in found.attention["kind"].values()) == pytest.approx(1)


def test_items_that_rows_share_are_packed_once(bundle: Bundle) -> None:
    example = mixed_batch()[-1]
    other = ModelInputs(text=text_of(*example.text.ids_L), image=example.image)  # equal text, another object
    batch = [*(example.only(*subset) for subset in SUBSETS), other]

    feed = pack_batch(batch, bundle.spec)

    assert [len(feed[name]) for name in ("token_ids", "pixels", "samples", "sample_counts")] == [2, 1, 1, 1]
    for medium in MEDIA:
        absent = 2 if medium == "text" else 1
        rows = [0 if medium in subset else absent for subset in SUBSETS]
        rows.append({"text": 1, "image": 0, "audio": 1}[medium])
        assert feed[f"{medium}_row"].tolist() == rows


def test_shorter_texts_and_sounds_are_padded_with_zeros(bundle: Bundle) -> None:
    batch = [
        ModelInputs(text=text_of(2, 3, 4), audio=sound_of(200, 5)),
        ModelInputs(text=text_of(5), audio=sound_of(300, 7)),
    ]

    feed = pack_batch(batch, bundle.spec)

    assert feed["token_ids"].tolist() == [[2, 3, 4], [5, 0, 0]]
    assert feed["sample_counts"].tolist() == [200, 300]
    assert feed["samples"].shape == (2, 300)
    assert set(feed["samples"][0, 200:].tolist()) == {0}
    assert {name: array.dtype.name for name, array in feed.items()} == {
        "token_ids": "int64",
        "pixels": "uint8",
        "samples": "int16",
        "sample_counts": "int64",
        "text_row": "int64",
        "image_row": "int64",
        "audio_row": "int64",
    }


def test_parts_of_speech_are_packed_beside_the_words_where_the_spec_asks(bundle: Bundle) -> None:
    spec = dataclasses.replace(bundle.spec, text=TextSpec(pos=True))
    texts = [
        TextInput(
            ids_L=np.array(ids, dtype=np.int64),
            pos_L=np.array(ids, dtype=np.int64) * 10,
            spans=(),
            text="",
            truncated=False,
        )
        for ids in ([2, 3], [4])
    ]
    batch = [ModelInputs(), *(ModelInputs(text=text) for text in texts)]

    assert pack_batch(batch, spec)["pos_ids"].tolist() == [[20, 30], [40, 0]]
    assert pack_batch([ModelInputs()], spec, Padding(min_items=1))["pos_ids"].tolist() == [[0]]
    assert "pos_ids" not in pack_batch(batch, bundle.spec)


def test_on_cuda_an_absent_medium_is_one_blank_item_that_no_row_points_at(bundle: Bundle) -> None:
    """CUDA's kernels refuse zero rows."""
    feed = pack_batch([ModelInputs(text=text_of(2))], bundle.spec, Padding(min_items=1))

    assert feed["pixels"].shape == (1, 4, 4, 3)
    assert feed["samples"].shape == (1, 200)
    assert feed["sample_counts"].tolist() == [200]
    assert not feed["pixels"].any()
    assert not feed["samples"].any()
    assert (feed["text_row"].tolist(), feed["image_row"].tolist(), feed["audio_row"].tolist()) == (
        [0],
        [1],
        [1],
    )


def with_room(spec: PreprocessSpec, *, tokens: int, seconds: float) -> PreprocessSpec:
    assert spec.audio is not None
    audio = dataclasses.replace(spec.audio, max_s=seconds)
    return dataclasses.replace(spec, text=TextSpec(max_tokens=tokens), audio=audio)


def test_sizes_are_rounded_up_to_powers_of_two_where_shapes_shall_come_again(bundle: Bundle) -> None:
    texts, image, sound = [text_of(2), text_of(*range(2, 22)), text_of(3)], image_of(9), sound_of(9000, 5)
    batch = [ModelInputs(text=text, image=image) for text in texts[:2]]
    batch.append(ModelInputs(text=texts[2], audio=sound))

    feed = pack_batch(batch, with_room(bundle.spec, tokens=64, seconds=5), Padding(rounded=True))

    assert {name: array.shape for name, array in feed.items()} == {
        "token_ids": (4, 32),
        "pixels": (1, 4, 4, 3),
        "samples": (1, 16384),
        "sample_counts": (1,),
        "text_row": (4,),
        "image_row": (4,),
        "audio_row": (4,),
    }
    assert feed["text_row"].tolist() == [0, 1, 2, 2]
    assert feed["image_row"].tolist() == [0, 0, 1, 1]
    assert feed["audio_row"].tolist() == [1, 1, 0, 0]
    assert feed["sample_counts"].tolist() == [9000]


def test_no_size_is_rounded_up_beyond_what_the_model_reads(bundle: Bundle) -> None:
    """Its positions end there."""
    spec = with_room(bundle.spec, tokens=5, seconds=0.5)
    feed = pack_batch([ModelInputs(text=text_of(2), audio=sound_of(200, 5))], spec, Padding(rounded=True))

    assert feed["token_ids"].shape == (1, 5)
    assert feed["samples"].shape == (1, 4000)


def test_replayed_runs_give_the_same_answers(bundle: Bundle, session: Session) -> None:
    """The same packing, buffers and runs as with CUDA graphs, here on the CPU."""
    replaying = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    replaying.replay()
    replaying._min_items = 1
    mixed = mixed_batch()
    batches = [mixed, mixed[::-1], mixed[:3], mixed[3:6], *([inputs] for inputs in mixed)]

    found = [replaying.run(batch, ALL) for batch in (*batches, *batches)]

    for batch, answers in zip((*batches, *batches), found, strict=True):
        for answer, expected in zip(answers, session.run(batch, ALL), strict=True):
            assert_same(answer, expected)


def test_blank_items_change_no_answer(bundle: Bundle, session: Session) -> None:
    """The same packing as on CUDA, run here on the CPU."""
    padded = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    padded._min_items = 1

    for inputs in mixed_batch():
        assert_same(padded.run([inputs], ALL)[0], session.run([inputs], ALL)[0])


def test_only_what_is_wanted_is_computed(session: Session) -> None:
    [bare] = session.run([mixed_batch()[-1]], Wanted())
    [attention] = session.run([mixed_batch()[-1]], Wanted(attention=True))

    assert (dict(bare.attention), dict(bare.embeddings_D)) == ({}, {})
    assert set(bare.logits_K) == {"kind", "tags", "size"}
    assert set(attention.attention) == {"kind", "tags", "size"}
    assert dict(attention.embeddings_D) == {}


def test_several_threads_may_run_at_once(session: Session) -> None:
    batch = mixed_batch()
    alone = session.run(batch, ALL)

    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda _: session.run(batch, ALL), range(40)):
            for found, expected in zip(together, alone, strict=True):
                assert_same(found, expected)


def test_a_graph_may_come_as_bytes(bundle: Bundle) -> None:
    found = Session(bundle.model_path.read_bytes(), spec=bundle.spec, tasks=bundle.tasks, device="cpu")

    assert found.device == "cpu"
    assert found.run([ModelInputs(text=text_of(2, 3))], Wanted())[0].logits_K["kind"][0] == pytest.approx(0.5)


def with_graph(bundle: Bundle, **changes: object) -> onnx.ModelProto:
    model = onnx.load(bundle.model_path)
    for node in [*model.graph.input, *model.graph.output]:
        if node.name in changes:
            kind, shape = changes[node.name]
            node.CopyFrom(onnx.helper.make_tensor_value_info(node.name, kind, shape))
    return model


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x07"])
def test_a_file_that_is_no_graph_is_refused(bundle: Bundle, data: bytes) -> None:
    with pytest.raises(BundleError, match="The graph cannot be loaded"):
        Session(data, spec=bundle.spec, tasks=bundle.tasks, device="cpu")


def test_a_missing_graph_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="The graph cannot be loaded"):
        Session(tmp_path / "model.onnx", spec=bundle.spec, tasks=bundle.tasks, device="cpu")


@pytest.mark.parametrize("medium", MEDIA)
def test_a_graph_that_reads_other_media_than_the_spec_is_refused(bundle: Bundle, medium: MediumName) -> None:
    parts = {name: getattr(bundle.spec, name) for name in MEDIA if name != medium}
    spec = PreprocessSpec(**{**dict.fromkeys(MEDIA), **parts})

    with pytest.raises(BundleError, match=rf"graph's inputs are .*'{medium}_row'.*, expected"):
        Session(bundle.model_path, spec=spec, tasks=bundle.tasks, device="cpu")


def test_a_graph_that_reads_no_parts_of_speech_where_the_spec_asks_is_refused(bundle: Bundle) -> None:
    spec = dataclasses.replace(bundle.spec, text=TextSpec(pos=True))

    with pytest.raises(BundleError, match=r"inputs are .*, expected .*'pos_ids'"):
        Session(bundle.model_path, spec=spec, tasks=bundle.tasks, device="cpu")


def test_a_graph_that_reads_another_size_of_image_is_refused(bundle: Bundle) -> None:
    spec = PreprocessSpec(
        text=bundle.spec.text, image=ImageSpec(height=8, width=4, rows=2, columns=2), audio=bundle.spec.audio
    )

    with pytest.raises(BundleError, match=r"reads pixels .*4, 4, 3.*, the spec says \[8, 4, 3\]"):
        Session(bundle.model_path, spec=spec, tasks=bundle.tasks, device="cpu")


def test_a_graph_that_reads_another_type_is_refused(bundle: Bundle) -> None:
    model = with_graph(bundle, samples=(onnx.TensorProto.INT32, ["Na", "T"]))

    with pytest.raises(BundleError, match=r"input samples is tensor\(int32\), expected tensor\(int16\)"):
        Session(model.SerializeToString(), spec=bundle.spec, tasks=bundle.tasks, device="cpu")


def test_a_graph_without_a_tasks_outputs_is_refused(bundle: Bundle) -> None:
    tasks = [*bundle.tasks, Task(name="mood", type="classification", labels=("good", "bad"))]

    with pytest.raises(BundleError, match=r"lacks the outputs .*attention\.mood\.audio.*logits\.mood"):
        Session(bundle.model_path, spec=bundle.spec, tasks=tasks, device="cpu")


def test_a_graph_with_more_or_fewer_values_than_labels_is_refused(bundle: Bundle) -> None:
    model = with_graph(bundle, **{"logits.kind": (onnx.TensorProto.FLOAT, ["B", 3])})
    tasks = [Task(name="kind", type="classification", labels=("word", "picture"))]

    assert Session(model.SerializeToString(), spec=bundle.spec, tasks=bundle.tasks, device="cpu")
    with pytest.raises(BundleError, match="gives 3 values for kind, which has 2 labels"):
        Session(model.SerializeToString(), spec=bundle.spec, tasks=tasks, device="cpu")
