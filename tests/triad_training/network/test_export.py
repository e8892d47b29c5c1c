"""The exported graph: like the network, whatever the batch; refused where it drifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.triad_training.conftest import table_folder
from triad_serving.contract.errors import ExportError
from triad_serving.contract.outputs import ModelOutputs, Wanted, media_subsets
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.session import EVERYTHING, Session
from triad_serving.media.example import ModelInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.preprocess import preprocess
from triad_training.config.reading import load_config
from triad_training.evaluation.evaluate import open_table
from triad_training.learning.prepare import build_model, prepare
from triad_training.media.audio import front_end
from triad_training.network import parity
from triad_training.network.export import export_graph
from triad_training.network.parity import MAX_DRIFT, check_parity, degenerate_examples
from triad_training.network.rebuild import rebuild_network


def test_an_answer_is_the_same_alone_and_in_any_batch(toy_bundle: Bundle) -> None:
    """On the exported graph, over mixed presence: what the service promises."""
    session = Session(toy_bundle.model_path, spec=toy_bundle.spec, tasks=toy_bundle.tasks, device="cpu")
    config = load_config(table_folder(toy_bundle) / "config.toml")
    examples = [
        preprocess(example.read(), toy_bundle.spec, toy_bundle.assets, MediaLimits())
        for example in prepare(config).test.examples
    ]
    batch = [example.only(*subset) for example in examples for subset in media_subsets(example.media)]
    for inputs, together in zip(batch, session.run(batch, EVERYTHING), strict=True):
        (alone,) = session.run([inputs], EVERYTHING)
        for task in toy_bundle.tasks:
            assert np.allclose(alone.logits_K[task.name], together.logits_K[task.name], atol=1e-4)
            for medium in inputs.media:
                first, second = (out.attention[task.name][medium] for out in (alone, together))
                assert np.allclose(first, second, atol=1e-4)
        assert np.allclose(alone.embeddings_D["fused"], together.embeddings_D["fused"], atol=1e-4)


def test_the_graph_names_no_path_of_the_machine_that_made_it(toy_bundle: Bundle) -> None:
    graph = toy_bundle.model_path.read_bytes()
    assert b".py" not in graph
    assert b"stack_trace" not in graph


def test_a_graph_that_drifts_is_refused(toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Degenerate media have a limit of their own."""
    table = open_table(toy_bundle, table_folder(toy_bundle) / "metadata.csv", ["validation"])
    validation = table.dataset(table.split("validation"))
    model, spec = rebuild_network(toy_bundle), toy_bundle.spec
    session = Session(toy_bundle.model_path, spec=spec, tasks=toy_bundle.tasks, device="cpu")
    examples = [validation[i].inputs for i in range(4)]
    assert check_parity(model, session, spec, examples) < 1e-5
    with monkeypatch.context() as patch:
        patch.setattr(parity, "DEGENERATE_DRIFT", -1.0)
        with pytest.raises(ExportError) as caught:
            check_parity(model, session, spec, examples)
    assert caught.value.limit == -1
    with torch.no_grad():
        model.heads["kind"].net[0].bias += 0.01
    with pytest.raises(ExportError, match="drifts from the network") as caught:
        check_parity(model, session, spec, examples)
    assert caught.value.limit == MAX_DRIFT
    with torch.no_grad():
        model.heads["kind"].net[0].bias.fill_(math.nan)
    with pytest.raises(ExportError):
        check_parity(model, session, spec, examples)


def test_a_network_that_makes_no_number_of_silence_is_refused(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples hold no silence: the comparison brings its own."""
    monkeypatch.setattr(front_end, "LOG_FLOOR", 1e-60)  # 0 in single precision
    prepared = prepare(load_config(toy_folder / "config.toml", subset="audio"))
    model = build_model(prepared)
    spec = prepared.config.spec
    session = Session(
        export_graph(model, spec, prepared.tasks), spec=spec, tasks=prepared.tasks, device="cpu"
    )
    with pytest.raises(ExportError, match="drifts from the network by nan"):
        check_parity(model, session, spec, [prepared.validation[0].inputs])


def test_the_graph_answers_degenerate_media_with_numbers(toy_bundle: Bundle) -> None:
    session = Session(toy_bundle.model_path, spec=toy_bundle.spec, tasks=toy_bundle.tasks, device="cpu")
    for outputs in session.run(degenerate_examples(toy_bundle.spec), EVERYTHING):
        assert all(np.isfinite(logits_K).all() for logits_K in outputs.logits_K.values())


def test_every_subset_is_compared_even_where_no_example_has_all_media(
    toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items of different examples, all of them real, then stand together."""
    table = open_table(toy_bundle, table_folder(toy_bundle) / "metadata.csv", ["validation"])
    validation = table.dataset(table.split("validation"))
    model, spec = rebuild_network(toy_bundle), toy_bundle.spec
    session = Session(toy_bundle.model_path, spec=spec, tasks=toy_bundle.tasks, device="cpu")
    compared: list[tuple[str, ...]] = []
    run = session.run

    def spy(batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        compared.append(tuple(sorted({inputs.media for inputs in batch})))
        return run(batch, wanted)

    monkeypatch.setattr(session, "run", spy)
    whole = [validation[i].inputs for i in (1, 2)]
    check_parity(
        model, session, spec, [whole[0].only("text"), whole[0].only("image"), whole[1].only("audio")]
    )
    real, degenerate = compared[: len(compared) // 2], compared[len(compared) // 2 :]
    assert real[:-1] == [(subset,) for subset in media_subsets(spec.media)]
    assert set(real[-1]) == set(media_subsets(spec.media))
    assert degenerate == real


def test_drift_is_relative_to_the_size_of_a_regression(toy_folder: Path) -> None:
    """A price of a million is exact to 0.06 in single precision: no drift."""
    prepared = prepare(load_config(toy_folder / "config.toml", subset="text"))
    config = prepared.config
    torch.manual_seed(0)
    model = build_model(prepared)
    model.head("size").set_unit(1_000_000.0, 200_000.0)
    graph = export_graph(model, config.spec, prepared.tasks)
    session = Session(graph, spec=config.spec, tasks=prepared.tasks, device="cpu")
    assert check_parity(model, session, config.spec, [prepared.validation[0].inputs]) < MAX_DRIFT
    with torch.no_grad():
        model.head("size").offset += 500.0
    with pytest.raises(ExportError):
        check_parity(model, session, config.spec, [prepared.validation[0].inputs])
