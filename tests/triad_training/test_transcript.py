"""A transcript from its table to a bundle that writes down what was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.triad_training.said import make_said_folder
from triad_serving.contract.errors import ConfigError, TableError
from triad_serving.inference.bundle import CARD_FILE, Bundle
from triad_serving.inference.transcribe.decoder import Decoder
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.evaluation.evaluate import evaluate_bundle
from triad_training.learning.objective import transcript_loss
from triad_training.learning.prepare import prepare
from triad_training.train import report_page, train_bundle


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_said_folder(tmp_path_factory.mktemp("said"))


@pytest.fixture(scope="module")
def bundle(table: Path) -> Bundle:
    """With n-grams, beside a task of classes."""
    overrides = ["tasks.said.beam=4", "tasks.said.ngrams=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(table)
        return train_bundle(table / "config.toml", out=table / "models", overrides=overrides)


def test_tones_are_written_down(bundle: Bundle) -> None:
    scores = bundle.manifest.metrics["test"]
    assert scores["audio"]["said"]["symbol_accuracy"] > 0.9
    assert set(scores["audio"]["said"]) == {
        "examples", "symbol_accuracy", "wer", "cer", "exact", "ece", "symbol_ece"
    }  # fmt: skip
    assert "said" in scores["text+audio"]
    assert "said" not in scores["text"]
    assert set(bundle.manifest.intervals["test"]["audio"]["said"]) == {"symbol_accuracy", "wer", "cer"}
    said = bundle.tasks[0]
    assert said.labels == ("high", "low", "mid")
    assert said.decoding is not None
    assert said.decoding.beam == 4
    Decoder.open(said, bundle.path)


def test_card_and_report_tell_its_error_rates(bundle: Bundle, table: Path) -> None:
    assert "wer" in (bundle.path / CARD_FILE).read_text(encoding="utf-8")
    page = (table / report_page(bundle)).read_text(encoding="utf-8")
    assert "word error rate" in page
    assert "symbol by symbol" in page


def test_a_bundle_with_a_transcript_scores_the_same_when_evaluated_again(bundle: Bundle, table: Path) -> None:
    found = evaluate_bundle(bundle.path, table / "metadata.csv")
    for subset, tasks in bundle.manifest.metrics["test"].items():
        for task, scores in tasks.items():
            assert found.scores[subset][task] == pytest.approx(scores)
    assert found.breakdowns["said"].json()["classes"]
    assert "said" not in found.trust


def test_transcripts_longer_than_their_sounds_are_named(table: Path) -> None:
    with pytest.raises(
        TableError, match=r"said: \d+ transcripts have more symbols.*lower .*frames_per_token"
    ):
        prepare(load_config(table / "config.toml", ["preprocess.audio.frames_per_token=64"]))


def test_a_transcript_of_no_sound_is_refused(table: Path) -> None:
    with pytest.raises(ConfigError, match=r"tasks\.said: a transcript is of audio"):
        load_config(table / "config.toml", ['data.audio=""'])


def test_words_and_ngrams_need_a_beam(table: Path) -> None:
    with pytest.raises(ConfigError, match="need a beam"):
        load_config(table / "config.toml", ["tasks.said.ngrams=2"])


def test_symbols_that_training_never_has_are_doubted_not_refused(table: Path, tmp_path: Path) -> None:
    rows = (table / "metadata.csv").read_text(encoding="utf-8").splitlines()
    for wav in table.glob("*.wav"):
        (tmp_path / wav.name).symlink_to(wav)
    changed = [row.replace(",low", ",deep") if ",test," in row else row for row in rows]
    (tmp_path / "metadata.csv").write_text("\n".join(changed), encoding="utf-8")
    (tmp_path / "config.toml").write_text((table / "config.toml").read_text("utf-8"), encoding="utf-8")
    prepared = prepare(load_config(tmp_path / "config.toml"))
    assert any("rows of the test split have symbols that no training row has, such as 'deep'" in each
               for each in prepared.warnings)  # fmt: skip


def test_the_paths_of_word_lists_are_of_the_config_and_stay_out_of_the_bundle(tmp_path: Path) -> None:
    config = TrainConfig.model_validate(
        {"name": "toy", "data": {"table": "t.csv"}, "tasks": {"said": {"type": "transcript", "beam": 2}}}
        | {"tasks": {"said": {"type": "transcript", "beam": 2, "words": "lists/words.txt"}}}
    ).with_paths_from(tmp_path)
    assert config.tasks["said"].words == tmp_path / "lists" / "words.txt"
    assert config.portable()["tasks"]["said"]["words"] == "words.txt"


def test_the_loss_is_that_of_all_ways_to_say_it_by_symbol() -> None:
    """In two moments "a" is said by "a a", "a blank", "blank a"; rows without label or sound do not count."""
    logits = torch.log(torch.tensor([[[0.2, 0.8], [0.6, 0.4]]])).repeat(3, 1, 1).requires_grad_()
    moments = torch.tensor([[True, True], [True, True], [False, False]])
    targets = torch.tensor([[1.0], [float("nan")], [1.0]])
    loss = transcript_loss(logits, moments, targets)
    assert float(loss.detach()) == pytest.approx(-np.log(0.8 * 0.4 + 0.8 * 0.6 + 0.2 * 0.4))
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[1:].any()
    assert float(transcript_loss(logits[1:], moments[1:], targets[1:]).detach()) == 0.0


def test_padding_of_moments_and_symbols_does_not_count_in_the_loss() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 4)
    short = transcript_loss(logits[:, :4], torch.ones(1, 4, dtype=torch.bool), torch.tensor([[1.0, 3.0]]))
    moments = torch.tensor([[True] * 4 + [False] * 2])
    assert torch.allclose(transcript_loss(logits, moments, torch.tensor([[1.0, 3.0, 0.0]])), short)
    assert float(short) == pytest.approx(
        float(
            F.ctc_loss(logits[0, :4].log_softmax(1), torch.tensor([1, 3]), torch.tensor(4), torch.tensor(2))
        )
    )
