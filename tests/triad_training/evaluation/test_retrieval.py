"""Search scores against sklearn, closed forms and vectors whose neighbours are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from triad_serving.contract.tasks import Task
from triad_training.evaluation import retrieval
from triad_training.evaluation.retrieval import (
    RANKS,
    mean_recall,
    rank_scores,
    retrieval_table,
    score_retrieval,
    search_sides,
)

KIND = Task(name="kind", type="classification", labels=("a", "b"))


def unit(rows: int, seed: int, width: int = 8) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_scores_are_those_of_sklearn_however_many_queries_are_ranked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queries_QE, items_GE = unit(17, 0), unit(40, 1)
    right_QG = np.random.default_rng(2).random((17, 40)) < 0.1
    right_QG[:, 3] = True
    found = rank_scores(queries_QE, items_GE, lambda start, end: right_QG[start:end])
    similarity_QG = queries_QE @ items_GE.T
    expected = [average_precision_score(r, s) for r, s in zip(right_QG, similarity_QG, strict=True)]
    assert found["map"] == pytest.approx(np.mean(expected), abs=1e-6)
    order_QG = np.argsort(-similarity_QG, axis=1)
    for rank in RANKS:
        hits_Q = np.take_along_axis(right_QG, order_QG[:, :rank], axis=1).any(axis=1)
        assert found[f"recall@{rank}"] == pytest.approx(hits_Q.mean())
    monkeypatch.setattr(retrieval, "PAIRS_AT_ONCE", 100)
    assert rank_scores(queries_QE, items_GE, lambda start, end: right_QG[start:end]) == pytest.approx(found)


def test_chance_is_the_mean_over_all_orders() -> None:
    right_G = np.array([True, True, False, False, False])
    orders = [np.array(order) for order in set(itertools.permutations(right_G.tolist()))]
    expected_map = np.mean([average_precision_score(order, -np.arange(5)) for order in orders])
    found = rank_scores(unit(1, 0), unit(5, 1), lambda *_: right_G[None])
    assert found["chance map"] == pytest.approx(expected_map)
    assert found["chance recall@1"] == pytest.approx(2 / 5)
    assert found["chance recall@5"] == found["chance recall@10"] == 1


def test_vectors_that_are_all_alike_find_nothing_first() -> None:
    same = np.repeat(unit(1, 0), 30, axis=0)
    found = rank_scores(same, same, lambda start, end: np.eye(30, dtype=bool)[start:end])
    assert (found["recall@1"], found["recall@10"]) == (0, 0)
    assert found["map"] == pytest.approx(1 / 30)


def test_rows_that_share_an_item_are_one_query_and_find_all_its_partners() -> None:
    texts, images = unit(2, 0), unit(3, 1)
    items_NM = np.array([[0, 0], [0, 1], [1, 2], [1, -1], [-1, 0]])
    vectors = {
        ("text",): np.where(items_NM[:, :1] >= 0, texts[items_NM[:, 0]], 0),
        ("image",): np.where(items_NM[:, 1:] >= 0, images[items_NM[:, 1]], 0),
    }
    targets = {"kind": np.array([0, 0, 1, np.nan, 0], dtype=np.float32)}
    found = score_retrieval(vectors, ("text", "image"), items_NM, [KIND], targets)
    forth, back = found["text -> image"], found["image -> text"]
    assert (forth["row"]["queries"], forth["row"]["items"]) == (2, 3)
    assert (back["row"]["queries"], back["row"]["items"]) == (3, 2)
    right = np.array([[1, 1, 0], [0, 0, 1]])
    expected = [average_precision_score(r, s) for r, s in zip(right, texts @ images.T, strict=True)]
    assert forth["row"]["map"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert (forth["kind"]["queries"], forth["kind"]["items"]) == (
        3,
        4,
    )  # rows; the unlabelled one is left out
    assert "| text -> image | the same kind | 3 | 4 |" in retrieval_table(found)


def test_the_others_together_search_too_where_there_are_three() -> None:
    assert search_sides(("text", "image")) == [("text",), ("image",)]
    sides = search_sides(("text", "image", "audio"))
    assert sides[3:] == [("image", "audio"), ("text", "audio"), ("text", "image")]
    vectors = {side: unit(6, 0) for side in sides}
    items_NM = np.arange(6)[:, None].repeat(3, axis=1)
    found = score_retrieval(vectors, ("text", "image", "audio"), items_NM, [], {})
    assert len(found) == 9
    assert found["text+image -> audio"]["row"]["recall@1"] == 1
    assert mean_recall(found) == 1
    assert mean_recall({}) == -np.inf
