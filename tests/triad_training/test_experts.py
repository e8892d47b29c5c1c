"""A bundle with linear experts, from training to its answers."""

from __future__ import annotations

import pytest

from tests.triad_training.conftest import table_folder
from triad_serving.inference.bundle import CARD_FILE, Bundle
from triad_serving.operation.inspection import describe_bundle
from triad_training.evaluation.evaluate import evaluate_bundle


def test_linear_models_are_scored_on_every_subset_of_the_test_rows(expert_bundle: Bundle) -> None:
    manifest = expert_bundle.manifest
    assert set(manifest.linear) == {"text", "image", "text+image"}
    assert manifest.linear["text+image"]["kind"]["accuracy"] == 1.0  # bars and words that tell the kind
    assert set(manifest.over_linear) == {"kind", "tags", "size"}


def test_what_is_better_than_linear_models_is_said_with_its_interval(expert_bundle: Bundle) -> None:
    gain, low, high = expert_bundle.manifest.over_linear["kind"]
    assert low <= gain <= high
    card = (expert_bundle.path / CARD_FILE).read_text(encoding="utf-8")
    assert "### Beside linear models" in card
    assert "how much better than linear models" in describe_bundle(expert_bundle)


def test_experts_that_are_believed_are_kept_and_named(expert_bundle: Bundle) -> None:
    kept = expert_bundle.manifest.training["model"]["experts"]
    assert kept
    assert set(kept) <= {"text.words", "text.characters", "image.statistics"}


def test_a_bundle_with_experts_scores_the_same_when_evaluated_again(expert_bundle: Bundle) -> None:
    found = evaluate_bundle(expert_bundle.path, table_folder(expert_bundle) / "metadata.csv")
    for subset, tasks in expert_bundle.manifest.metrics["test"].items():
        for task, scores in tasks.items():
            assert found.scores[subset][task] == pytest.approx(scores)
