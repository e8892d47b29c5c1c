from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.triad_training.conftest import table_folder
from triad_serving.contract.errors import ParameterError, TableError
from triad_serving.inference.bundle import Bundle
from triad_training.evaluation.evaluate import evaluate_bundle


def test_evaluate_finds_the_scores_that_the_bundle_states(toy_bundle: Bundle) -> None:
    evaluation = evaluate_bundle(toy_bundle.path, table_folder(toy_bundle) / "metadata.csv", split="test")
    found = json.loads(evaluation.json())
    assert found["split"] == "test"
    assert found["scores"] == toy_bundle.manifest.metrics["test"]
    stated = toy_bundle.manifest.intervals["test"]
    assert found["intervals"] == json.loads(json.dumps(stated))
    assert set(stated["text+image+audio"]["tags"]) == {"f1"}
    for subset, tasks in stated.items():
        for task, ends in tasks.items():
            for name, (low, high) in ends.items():
                assert low <= found["scores"][subset][task][name] <= high
    assert found["tasks"]["kind"]["coverage"][-1]["coverage"] == 1
    assert list(found["tasks"]["tags"]["thresholds"]) == ["big", "light"]
    assert found["trust"] == evaluation.trust
    assert np.array(found["tasks"]["kind"]["confusion"]).trace() == 20
    assert [use["label"] for use in found["media_use"]["tags"]] == [None, "big", "light"]
    assert found["robustness"] == []
    assert "| kind | text+image+audio |" in evaluation.table()


def test_evaluate_judges_the_attention_of_every_task(toy_bundle: Bundle) -> None:
    trust = evaluate_bundle(toy_bundle.path, table_folder(toy_bundle) / "metadata.csv").trust
    assert set(trust) == {"kind", "tags", "size"}
    for numbers in trust.values():
        assert numbers["examples"] == 16  # every fifth of the 20 lacks a medium
        assert numbers["tied"] == numbers["examples"] or -1 <= numbers["spearman"] <= 1


def test_evaluate_refuses_what_it_cannot_score(toy_bundle: Bundle, toy_folder: Path) -> None:
    with pytest.raises(ParameterError, match="Unknown split"):
        evaluate_bundle(toy_bundle.path, toy_folder / "metadata.csv", split="holdout")
    table = toy_folder / "metadata.csv"
    table.write_text(table.read_text("utf-8").replace(",low,", ",purple,"), encoding="utf-8")
    with pytest.raises(TableError, match="unknown label 'purple'"):
        evaluate_bundle(toy_bundle.path, table)
