"""How well one medium finds another: recall and mean average precision of search in the shared space.

Shape letters: N rows of a split, M media, Q queries, G items that are searched, E numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.special import digamma, gammaln

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.outputs import MediumName, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_training.data.dataset import ExampleDataset

Subset: TypeAlias = tuple[MediumName, ...]
Vectors: TypeAlias = Mapping[Subset, F32]  # [N, E]; of no meaning in rows that lack any of the media
Retrieval = dict[str, dict[str, dict[str, float]]]  # "text+audio -> image" -> "row" or a task -> score
Bools: TypeAlias = npt.NDArray[np.bool_]

BY_ROW = "row"
RANKS = (1, 5, 10)
SCORES = (*(f"recall@{rank}" for rank in RANKS), "map")
EXAMPLES_PER_RUN = 16  # times the sides that are asked for
PAIRS_AT_ONCE = 1_000_000  # of a query and an item, some 40 bytes each
LABEL_QUERIES = 2000  # at most, evenly from all rows: each has many items to find


def search_sides(media: Sequence[MediumName]) -> list[Subset]:
    """Each medium, and of three or more all but each."""
    singles: list[Subset] = [(medium,) for medium in media]
    rest = [tuple(other for other in media if other != medium) for medium in media]
    return singles + [others for others in rest if len(others) > 1]


def embed_split(session: Session, dataset: ExampleDataset) -> Vectors:
    """What the graph makes of every row's media, each alone and together as search_sides has them."""
    sides = search_sides(dataset.spec.media)
    found: dict[Subset, list[F32]] = {side: [] for side in sides}
    rows = (dataset[n].inputs for n in range(len(dataset)))
    while batch := list(islice(rows, EXAMPLES_PER_RUN)):
        asked = [(n, side) for n, row in enumerate(batch) for side in sides if set(side) <= set(row.media)]
        outputs = session.run([batch[n].only(*side) for n, side in asked], Wanted(embeddings=True))
        size = len(outputs[0].embeddings_D["fused"])
        vectors = {side: np.zeros((len(batch), size), dtype=np.float32) for side in sides}
        for (n, side), output in zip(asked, outputs, strict=True):
            vectors[side][n] = output.embeddings_D["fused"]
        for side, part_NE in vectors.items():
            found[side].append(part_NE)
    return {side: np.concatenate(parts) for side, parts in found.items()}


def search_split(session: Session, dataset: ExampleDataset, tasks: Sequence[Task]) -> Retrieval:
    """See score_retrieval."""
    vectors = embed_split(session, dataset)
    return score_retrieval(vectors, dataset.spec.media, dataset.items_NM, tasks, dataset.targets)


def score_retrieval(
    vectors: Vectors,
    media: Sequence[MediumName],
    items_NM: I64,
    tasks: Sequence[Task],
    targets: Mapping[str, F32],
) -> Retrieval:
    """Of every medium, by each other one alone and by all others together.

    items_NM: which of the distinct items of each medium every row has, -1 for none. targets: by task.
    By row, each distinct item (or combination) is searched for once among the distinct items of the other
    medium; found are those that stand in a row with it. By a classification's label, rows search among rows;
    found are those of the query's label.
    """
    places = {medium: place for place, medium in enumerate(media)}
    classes = [task.name for task in tasks if task.type == "classification"]
    found: Retrieval = {}
    for query in search_sides(media):
        for medium in media:
            if medium in query:
                continue
            asks_N = (items_NM[:, [places[m] for m in query]] >= 0).all(axis=1)
            holds_N = items_NM[:, places[medium]] >= 0
            sides = vectors[query], vectors[(medium,)]
            by = {}
            if (asks_N & holds_N).any():
                columns_N2 = _numbered(items_NM[:, [places[m] for m in query]]), items_NM[:, places[medium]]
                by[BY_ROW] = _score_by_row(sides, columns_N2, asks_N & holds_N, holds_N)
                for name in classes:
                    labelled_N = ~np.isnan(targets[name])
                    rows = np.flatnonzero(asks_N & holds_N & labelled_N), np.flatnonzero(holds_N & labelled_N)
                    if all(map(len, rows)):
                        by[name] = _score_by_label(sides, rows, targets[name])
            if by:
                found[f"{'+'.join(query)} -> {medium}"] = by
    return found


def mean_recall(retrieval: Retrieval) -> float:
    """By row, over ranks and directions: what image-text retrieval chooses models by (Faghri et al. 2018,
    VSE++, arXiv:1707.05612, section 4.2). Minus infinity where nothing was searched."""
    found = [by[BY_ROW][f"recall@{rank}"] for by in retrieval.values() for rank in RANKS]
    return float(np.mean(found)) if found else -np.inf


def retrieval_table(retrieval: Retrieval) -> str:
    """Markdown: per cent; in brackets what a random order reaches."""
    if not retrieval:
        return ""
    lines = [
        f"| search | right is | queries | items | {' | '.join(SCORES)} |",
        "|---|---|---:|---:|" + "---:|" * len(SCORES),
    ]
    for direction, by in retrieval.items():
        for kind, scores in by.items():
            shown = [f"{100 * scores[name]:.1f} ({100 * scores[f'chance {name}']:.2g})" for name in SCORES]
            counts = f"{scores['queries']:.0f} | {scores['items']:.0f}"
            lines.append(f"| {direction} | the same {kind} | {counts} | {' | '.join(shown)} |")
    return "\n".join(lines)


def rank_scores(queries_QE: F32, items_GE: F32, relevant: Callable[[int, int], Bools]) -> dict[str, float]:
    """Means over the queries, each of which has something to find.

    relevant: of the queries from one number to another, which items are right, [queries, G].
    recall@k: share of queries with a right item among the first k. map: mean average precision of the whole
    order. Each beside its expectation for a random order, "chance ...". Equal similarities count against it.
    """
    items, step = len(items_GE), max(PAIRS_AT_ONCE // len(items_GE), 1)
    sums: dict[str, float] = dict.fromkeys((*SCORES, *(f"chance {name}" for name in SCORES)), 0.0)
    rank_G = np.arange(1, items + 1)
    for start in range(0, len(queries_QE), step):
        end = min(start + step, len(queries_QE))
        right_QG = relevant(start, end)
        hits_QG = _in_order(queries_QE[start:end] @ items_GE.T, right_QG)
        count_Q = right_QG.sum(axis=1)
        for rank in RANKS:
            sums[f"recall@{rank}"] += float(hits_QG[:, :rank].any(axis=1).sum())
            sums[f"chance recall@{rank}"] += float(_chance_of_hit(count_Q, items, rank).sum())
        precision_QG = np.where(hits_QG, hits_QG.cumsum(axis=1) / rank_G, 0.0)
        sums["map"] += float((precision_QG.sum(axis=1) / count_Q).sum())
        sums["chance map"] += float(_chance_of_precision(count_Q, items).sum())
    means = {name: total / len(queries_QE) for name, total in sums.items()}
    return {"queries": float(len(queries_QE)), "items": float(items)} | means


def _score_by_row(
    sides: tuple[F32, F32], columns: tuple[I64, I64], asks_N: Bools, holds_N: Bools
) -> dict[str, float]:
    """columns: number of each row's query and item. Equal ones have equal vectors."""
    (query_N, item_N), (query_NE, item_NE) = columns, sides
    held, item_rows = np.unique(item_N[holds_N], return_index=True)
    asked, query_rows = np.unique(query_N[asks_N], return_index=True)
    pairs = np.searchsorted(asked, query_N[asks_N]), np.searchsorted(held, item_N[asks_N])
    right = coo_array((np.ones(len(pairs[0]), dtype=bool), pairs), shape=(len(asked), len(held))).tocsr()
    return rank_scores(
        query_NE[asks_N][query_rows],
        item_NE[holds_N][item_rows],
        lambda start, end: right[start:end].toarray(),
    )


def _score_by_label(sides: tuple[F32, F32], rows: tuple[I64, I64], target_N: F32) -> dict[str, float]:
    """rows: that ask, and that are searched."""
    asked, held = rows
    asked = asked[np.linspace(0, len(asked) - 1, min(len(asked), LABEL_QUERIES)).astype(int)]
    return rank_scores(
        sides[0][asked],
        sides[1][held],
        lambda start, end: target_N[asked[start:end], None] == target_N[None, held],
    )


def _numbered(items_NK: I64) -> I64:
    """[N]: equal for equal combinations."""
    return np.unique(items_NK, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _in_order(similarity_QG: F32, right_QG: Bools) -> Bools:
    """Which items are right, from the most similar on; of equal ones the wrong ones first.

    Sorted are whole numbers whose lowest bit says so, three times as fast as sorting places: floats above 0
    are ordered as their bits.
    """
    distance_QG = (2 - similarity_QG).astype(np.float32)  # of unit vectors: 1 to 3
    key_QG = (distance_QG.view(np.int32) & ~np.int32(1)) | right_QG
    key_QG.sort(axis=1)
    return (key_QG & 1).astype(bool)


def _chance_of_hit(count_Q: I64, items: int, rank: int) -> npt.NDArray[np.float64]:
    """That any of `count` right items is among the first `rank` of a random order: hypergeometric."""
    wrong_Q = items - count_Q
    rank = min(rank, items)
    possible = wrong_Q >= rank
    wrong_Q = np.maximum(wrong_Q, rank)
    log_Q = (
        gammaln(wrong_Q + 1) - gammaln(wrong_Q - rank + 1) - gammaln(items + 1) + gammaln(items - rank + 1)
    )
    return np.asarray(1 - np.where(possible, np.exp(log_Q), 0.0))


def _chance_of_precision(count_Q: I64, items: int) -> npt.NDArray[np.float64]:
    """Expected average precision of a random order.

    Source: Y. Bestgen, Exact expected average precision of the random baseline, 2015, equation 5.
    """
    harmonic = float(digamma(items + 1) - digamma(1))
    if items == 1:
        return np.ones(len(count_Q))
    return np.asarray((harmonic + (count_Q - 1) / (items - 1) * (items - harmonic)) / items)
