"""What is heard at each moment: neighbours, padding, absent sounds, and where its attention goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.triad_training.network.test_model import ASSETS, example
from tests.triad_training.network.test_model import SPEC as SPEC_WITH_NGRAMS
from triad_serving.contract.tasks import Task
from triad_serving.inference.packing import pack_batch
from triad_serving.inference.session import EVERYTHING, Session
from triad_serving.media.example import ModelInputs
from triad_serving.media.text.spec import TextSpec
from triad_training.config.train_config import ModelConfig, TrainConfig
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity
from triad_training.network.transcript import Context, TranscriptHead

SPEC = replace(SPEC_WITH_NGRAMS, text=TextSpec())  # without linear experts nothing reads n-grams
SAID = Task(name="said", type="transcript", labels=("one", "two"))
KIND = Task(name="kind", type="classification", labels=("a", "b", "c"))
CONFIG = TrainConfig.model_validate(
    {
        "name": "toy",
        "data": {"table": "t.csv"},
        "tasks": {"said": {"type": "transcript", "context": 2}, "kind": {}},
        "model": ModelConfig(width=16, heads=2, mels=16, linear=False),
    }
)


@pytest.fixture(scope="module")
def model() -> TriadModel:
    torch.manual_seed(0)
    return TriadModel(CONFIG, SPEC, (SAID, KIND), ASSETS).eval()


@torch.no_grad()
def run(model: TriadModel, batch: list[ModelInputs]) -> dict[str, torch.Tensor]:
    return model({name: torch.from_numpy(array) for name, array in pack_batch(batch, SPEC).items()})


def test_a_sound_is_heard_alike_alone_and_beside_a_longer_one(model: TriadModel) -> None:
    short, long = example(1), example(5)
    alone, beside = run(model, [short]), run(model, [short, long])
    count = alone["logits.said"].shape[1]
    assert beside["logits.said"].shape[1] > count
    assert torch.allclose(beside["logits.said"][0, :count], alone["logits.said"][0], atol=1e-5)
    assert beside["moments.said"].sum(1).tolist()[0] == count


def test_attention_sums_to_one_and_is_zero_without_a_sound(model: TriadModel) -> None:
    outputs = run(model, [example(1), example(2).only("audio"), example(3).only("text", "image")])
    for kind in ("attention", "rollout"):
        totals = sum(outputs[f"{kind}.said.{medium}"].sum(1) for medium in SPEC.media)
        assert torch.allclose(totals, torch.tensor([1.0, 1.0, 0.0]), atol=1e-5)
    assert outputs["attention.said.text"][1].sum() == 0
    assert outputs["attention.said.text"][0].sum() > 0  # fusion lets it in


def test_attention_on_a_moment_is_how_probable_it_is_that_anything_is_heard() -> None:
    torch.manual_seed(0)
    head = TranscriptHead(8, SAID, 0.0, context=0).eval()
    mask_BS = torch.tensor([[True, True, True, False]])
    logits_BSK, weights_BS = head(torch.randn(1, 4, 8), torch.randn(1, 4, 8), mask_BS)
    heard = (1 - logits_BSK.softmax(2)[0, :3, 0] + 1e-4).tolist()
    assert weights_BS[0].tolist() == pytest.approx([each / sum(heard) for each in heard] + [0.0], abs=1e-6)


def test_without_fusion_other_media_are_not_heard() -> None:
    deaf = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"fusion_layers": 0})})
    model = TriadModel(deaf, SPEC, (SAID,), ASSETS).eval()
    outputs = run(model, [example(1)])
    assert outputs["attention.said.text"].sum() == outputs["attention.said.image"].sum() == 0
    alone = run(model, [example(1).only("audio")])
    assert torch.allclose(outputs["logits.said"], alone["logits.said"], atol=1e-5)


def test_a_context_is_a_convolution_of_three_tokens_and_takes_none() -> None:
    torch.manual_seed(0)
    context = Context(4, 2, 0.0).eval()
    x_BSD, mask_BS1 = torch.randn(1, 9, 4), torch.ones(1, 9, 1, dtype=torch.bool)
    first = context.feed_forward[0]
    assert isinstance(first, torch.nn.Linear)
    kernel = first.weight.unflatten(1, (3, 4)).transpose(1, 2)  # [4, 4, 3]
    normed = context.norm(x_BSD).transpose(1, 2)
    convolved = torch.nn.functional.conv1d(normed, kernel, first.bias, dilation=2, padding=2).transpose(1, 2)
    expected = x_BSD + context.feed_forward[3](context.feed_forward[1](convolved))
    assert torch.allclose(context(x_BSD, mask_BS1), expected, atol=1e-5)
    assert context(x_BSD[:, :0], mask_BS1[:, :0]).shape == (1, 0, 4)


def test_the_graph_says_what_the_network_says_with_and_without_a_sound(model: TriadModel) -> None:
    """In every subset of media, batches without any sound among them."""
    graph = export_graph(model, SPEC, (SAID, KIND))
    session = Session(graph, spec=SPEC, tasks=(SAID, KIND), device="cpu")
    assert check_parity(model, session, SPEC, [example(seed) for seed in range(3)]) < 1e-4
    [outputs] = session.run([example(1).only("text")], EVERYTHING)
    assert outputs.logits_K["said"].shape == (0, 3)
    short, _ = session.run([example(1), example(5)], EVERYTHING)
    assert len(short.logits_K["said"]) == len(short.attention["said"]["audio"])
