"""The network: what its attention may and may not do, and that rows do not see their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triad_serving.contract.outputs import media_subsets
from triad_serving.contract.tasks import Task, TaskType
from triad_serving.inference.packing import pack_batch
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.ngrams import Ngrams
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.words import Vocabulary
from triad_training.config.train_config import ModelConfig, OptimConfig, TrainConfig
from triad_training.media.text.expert import NgramExpert
from triad_training.network.fusion import AttentionReading, segment_masks
from triad_training.network.head import Head
from triad_training.network.model import TriadModel

SPEC = PreprocessSpec(
    text=TextSpec(max_ngrams=40), image=ImageSpec(height=16, width=16, rows=4, columns=4), audio=AudioSpec()
)
TASKS = (
    Task(name="kind", type="classification", labels=("a", "b", "c")),
    Task(name="size", type="regression"),
)
CONFIG = TrainConfig.model_validate(
    {"name": "toy", "data": {"table": "t.csv"}, "tasks": {"kind": {}, "size": {"type": "regression"}}}
    | {"model": ModelConfig(width=16, heads=2, mels=16)}
)
NGRAMS = Ngrams([*(f"=word{n}" for n in range(9)), *"abcdefghi"])
VOCABULARY = Vocabulary([f"word{n}" for n in range(48)])  # 50 ids
ASSETS = {"text": WordLexicon(vocabulary=VOCABULARY, ngrams=NGRAMS)}


@pytest.fixture(params=["network", "experts"])
def model(request: pytest.FixtureRequest) -> TriadModel:
    """By itself, or with linear experts that it believes in part."""
    torch.manual_seed(0)
    model = TriadModel(CONFIG, SPEC, TASKS, ASSETS).eval()
    return with_experts(model) if request.param == "experts" else model


@torch.no_grad()
def with_experts(model: TriadModel) -> TriadModel:
    """As if they had been solved for, and believed differently in every subset."""
    for medium, name in model.expert_names:
        expert = model.experts_of(medium)[name]
        expert.weight.normal_(std=0.1)
        expert.bias.normal_()
        if isinstance(expert, NgramExpert):
            expert.rarity[1:].uniform_(1, 3)
            expert.weight[0] = 0  # of padding and of what is not of this kind: never solved for
    for task in TASKS:
        model.head(task.name).trust_SM.uniform_(0, 1)
        model.head(task.name).expert_trust_SE.uniform_(0, 2)
    model.asks_experts = True
    return model


def example(seed: int) -> ModelInputs:
    rng = np.random.default_rng(seed)
    samples = rng.integers(-9000, 9000, 1000 + 700 * seed).astype(np.int16)
    pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    return ModelInputs(
        text=TextInput(
            ids_L=rng.integers(2, 50, 3 + seed),
            ngrams_G3=rng.integers((1, 0, 0), (19, 3 + seed, 3 + seed), (5 * seed, 3)),
            spans=(),
            text="a text it",
            truncated=False,
        ),
        image=ImageInput(pixels_HW3=pixels, format="PNG", width=16, height=16, region=(0, 0, 16, 16)),
        audio=AudioInput(
            samples_T=samples, format="WAV", seconds=1.0, sample_rate_hz=8000, truncated=False, peak=0.3
        ),
    )


@torch.inference_mode()
def run(model: TriadModel, batch: list[ModelInputs]) -> dict[str, np.ndarray]:
    inputs = {name: torch.from_numpy(array) for name, array in pack_batch(batch, model_spec(model)).items()}
    return {name: tensor.numpy() for name, tensor in model(inputs).items()}


def model_spec(model: TriadModel) -> PreprocessSpec:
    return PreprocessSpec(**{m: getattr(SPEC, m) if m in model.media else None for m in SPEC.media})


def test_attention_sums_to_one_and_absent_media_get_exactly_nothing(model: TriadModel) -> None:
    batch = [example(n).only(*subset) for n in range(2) for subset in media_subsets(SPEC.media)]
    outputs = run(model, batch)
    for task in TASKS:
        shares = {medium: outputs[f"attention.{task.name}.{medium}"].sum(1) for medium in SPEC.media}
        assert np.allclose(sum(shares.values()), 1, atol=1e-6)
        for b, inputs in enumerate(batch):
            for medium in SPEC.media:
                assert (shares[medium][b] == 0) == (medium not in inputs.media)


def test_a_row_alone_and_among_others_gets_the_same_answer(model: TriadModel) -> None:
    batch = [example(n).only(*subset) for n in range(3) for subset in media_subsets(SPEC.media)]
    together = run(model, batch)
    for b, inputs in enumerate(batch):
        for name, array in run(model, [inputs]).items():
            row = together[name][b]
            assert np.allclose(row[: array.shape[1]], array[0], atol=1e-5), name
            assert not row[array.shape[1] :].any(), name


def test_embeddings_have_length_one_and_are_zero_where_absent(model: TriadModel) -> None:
    outputs = run(model, [example(0), example(1).only("text")])
    assert np.allclose(np.linalg.norm(outputs["embedding.fused"], axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(outputs["embedding.image"], axis=1), [1, 0], atol=1e-5)


@pytest.fixture
def shared() -> TriadModel:
    """With a space for all media."""
    torch.manual_seed(0)
    config = CONFIG.model_copy(update={"optim": OptimConfig(contrast=1.0)})
    return TriadModel(config, SPEC, TASKS, ASSETS).eval()


def test_in_a_shared_space_a_medium_has_one_vector_whatever_comes_with_it(shared: TriadModel) -> None:
    rows = [example(0), example(0).only("image"), example(0).only("text", "audio"), example(1)]
    together = run(shared, rows)
    assert together["embedding.image"].shape == together["embedding.fused"].shape == (4, 128)
    norms = np.linalg.norm([together[f"embedding.{m}"] for m in (*SPEC.media, "fused")], axis=2)
    assert np.allclose(norms, [[1, 0, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]], atol=1e-5)
    assert np.allclose(together["embedding.image"][0], together["embedding.image"][1], atol=1e-5)
    assert np.allclose(together["embedding.fused"][1], together["embedding.image"][1], atol=1e-5)
    assert np.abs(together["embedding.fused"][0] - together["embedding.fused"][2]).max() > 1e-3
    for b, row in enumerate(rows):
        alone = run(shared, [row])
        for name in (f"embedding.{part}" for part in (*SPEC.media, "fused")):
            assert np.allclose(alone[name][0], together[name][b], atol=1e-5)


def test_a_weight_on_a_medium_can_only_mean_that_this_medium_was_read(model: TriadModel) -> None:
    """The sound may steer where in the image a task looks, but what is read there is the image alone."""
    attention = model.attention["kind"]
    mask = segment_masks([torch.ones(1, 4, dtype=torch.bool), torch.tensor([[True, False]])])
    with torch.no_grad():
        fused, own = torch.randn(1, 6, 16), torch.randn(1, 6, 16)
        reading = attention(fused, own, mask)
        changed = own.clone()
        changed[:, 4:] += 100.0
        assert torch.equal(attention(fused, changed, mask).reads_BMD[:, 0], reading.reads_BMD[:, 0])
        weights = reading.weights_BMP[0, 0]
        assert weights[:4].sum() == pytest.approx(1)
        assert not weights[4:].any()
        expected = (weights[:4, None] * attention.value(own[0, :4])).sum(0)
        assert torch.allclose(reading.reads_BMD[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_evidence_weighs_opinions_and_grows_with_agreement(kind: TaskType) -> None:
    torch.manual_seed(0)
    head = Head(
        16,
        Task(name="kind", type=kind, labels=("a", "b", "c"), prior=(0.5, 0.3, 0.2)),
        0.0,
        media=2,
        experts=0,
    )
    reading = AttentionReading(torch.randn(1, 2, 16), torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2, 9))
    with torch.no_grad():
        logits_BK, shares_BM, _ = head(reading, torch.tensor([3]), [0, 1])
        opinions = torch.tanh(head.net(reading.reads_BMD[0])).numpy().astype(float)
        offset = head.offset.numpy().astype(float)
    first = offset + np.array([2.0, 1.0]) @ opinions
    if kind == "classification":
        sure = np.exp(first) / np.exp(first).sum()
        agreement = opinions @ sure - opinions.mean(1)
    else:
        agreement = (opinions * (2 / (1 + np.exp(-first)) - 1)).mean(1)
    evidence = np.array([2.0, 1.0]) * np.log1p(np.exp(2 * agreement))  # routing begins at 2
    assert np.allclose(logits_BK.numpy()[0], offset + evidence @ opinions, atol=1e-5)
    assert np.allclose(shares_BM.numpy()[0], evidence / evidence.sum(), atol=1e-6)


def test_without_evidence_the_answer_is_the_training_prior() -> None:
    kind = Task(name="kind", type="classification", labels=("a", "b"), prior=(0.9, 0.1))
    tags = Task(name="tags", type="multilabel", labels=("x", "y"), prior=(0.2, 0.0))
    nothing = AttentionReading(torch.randn(1, 3, 16), torch.zeros(1, 3), torch.zeros(1, 3, 9))
    with torch.no_grad():
        for_kind, for_tags = (
            Head(16, task, 0.0, media=3, experts=0)(nothing, torch.tensor([0]), [0, 1, 2]).logits_BK[0]
            for task in (kind, tags)
        )
    assert for_kind.softmax(0).tolist() == pytest.approx([0.9, 0.1])
    assert for_tags.sigmoid().tolist() == pytest.approx([0.2, 0.001], abs=1e-6)


def test_a_regression_answers_in_the_targets_own_unit(model: TriadModel) -> None:
    plain = run(model, [example(0)])["logits.size"]
    model.heads["size"].set_unit(150.0, 20.0)
    assert np.allclose(run(model, [example(0)])["logits.size"], 150 + 20 * plain, atol=1e-3)


@pytest.mark.parametrize("media", media_subsets(SPEC.media))
def test_a_model_may_read_any_subset_of_media(media: tuple[str, ...]) -> None:
    spec = PreprocessSpec(**{m: getattr(SPEC, m) if m in media else None for m in SPEC.media})
    model = TriadModel(CONFIG, spec, TASKS, ASSETS).eval()
    outputs = run(model, [example(0).only(*media)])
    assert outputs["logits.kind"].shape == (1, 3)
    assert {name.rsplit(".", 1)[1] for name in outputs if name.startswith("attention.kind")} == set(media)


@torch.inference_mode()
def test_experts_add_what_is_believed_of_them_to_the_network() -> None:
    """Reference: the sum, in numpy. A network that is not believed in a subset says nothing there."""
    model = with_experts(TriadModel(CONFIG, SPEC, TASKS, ASSETS).eval())
    head, inputs = model.head("kind"), example(1)
    head.trust_SM.zero_()
    found_K = run(model, [inputs.only("text", "audio")])["logits.kind"][0]
    encoded = model.encode(
        {name: torch.from_numpy(array) for name, array in pack_batch([inputs], SPEC).items()}
    )
    expected_K = head.offset.numpy().astype(float)
    trust_E = head.expert_trust_SE[0b101]
    for place, (medium, _) in enumerate(model.expert_names):
        own = [name for name in model.expert_names if name[0] == medium]
        answers = encoded[medium].experts
        assert answers is not None
        if medium != "image":
            said_K = answers[0][0, own.index(model.expert_names[place]), model.columns["kind"]]
            expected_K = expected_K + float(trust_E[place]) * said_K.numpy()
    assert found_K == pytest.approx(expected_K, abs=1e-4)


def test_where_nothing_says_anything_attention_still_falls_on_what_was_read() -> None:
    model = with_experts(TriadModel(CONFIG, SPEC, TASKS, ASSETS).eval())
    for task in TASKS:
        model.head(task.name).trust_SM.zero_()
        model.head(task.name).expert_trust_SE.zero_()
    outputs = run(model, [example(1).only("image")])
    assert outputs["attention.kind.image"].sum() == pytest.approx(1, abs=1e-5)
    assert outputs["logits.kind"][0] == pytest.approx(model.head("kind").offset.numpy(), abs=1e-6)


def test_a_network_without_its_experts_answers_as_it_learnt_to() -> None:
    torch.manual_seed(0)
    model = TriadModel(CONFIG, SPEC, TASKS, ASSETS).eval()
    before = run(model, [example(0)])["logits.kind"]
    assert not np.allclose(run(with_experts(model), [example(0)])["logits.kind"], before)
    assert np.array_equal(run(model.without_experts(), [example(0)])["logits.kind"], before)


def test_experts_that_are_not_kept_are_gone_and_the_others_say_the_same() -> None:
    model = with_experts(TriadModel(CONFIG, SPEC, TASKS, ASSETS).eval())
    kept = [name for name in model.expert_names if name[0] != "audio"]
    for task in TASKS:
        model.head(task.name).expert_trust_SE[:, -1] = 0
    before = run(model, [example(0)])
    model.keep_experts(kept, SPEC)
    assert model.expert_names == kept
    after = run(model, [example(0)])
    for name, array in before.items():
        assert np.allclose(after[name], array, atol=1e-6), name
