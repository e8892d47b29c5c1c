"""What the service says of an index, and of the rows that it found."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from triad_serving.http.search.schemas import ColumnReport, IndexReport, SearchAnswer, SearchResult
from triad_serving.inference.embedding import FUSED
from triad_serving.search.index import Hit, Index
from triad_serving.search.media import text_of
from triad_serving.search.store import Kind

DECIMALS = 6  # of scores
MOST_VALUES = 50  # of a column, to list them


def describe_index(index: Index) -> IndexReport:
    about = index.about
    return IndexReport(
        name=index.name,
        model=about.model,
        version=about.version,
        rows=index.store.count(),
        width=about.width,
        vectors=about.vectors,
        media=[part for part in about.parts if part != FUSED],
        shows_media=about.media_root is not None,
        columns=[_describe_column(index, name, kind) for name, kind in about.columns.items()],
    )


def _describe_column(index: Index, name: str, kind: Kind) -> ColumnReport:
    if kind == "number":
        low, high = index.store.ends(name)
        return ColumnReport(name=name, type="number", low=low, high=high)
    values = index.store.values(name, most=MOST_VALUES + 1)
    few = 0 < len(values) <= MOST_VALUES
    return ColumnReport(name=name, type="category" if few else "string", values=values if few else None)


def describe_hits(index: Index, hits: Sequence[Hit], *, request_id: str, warnings: list[str]) -> SearchAnswer:
    about = index.about
    return SearchAnswer(
        id=request_id,
        model=about.model,
        version=about.version,
        index=index.name,
        results=[_describe_hit(index, hit) for hit in hits],
        warnings=warnings,
    )


def _describe_hit(index: Index, hit: Hit) -> SearchResult:
    row = hit.row
    media = {}
    if index.about.media_root is not None and row.media:
        at = f"/v1/indexes/{quote(index.name, safe='')}/rows/{quote(row.id, safe='')}"
        media = {name: f"{at}/{name}" for name in row.media}
    return SearchResult(
        row=row.id,
        score=round(hit.score, DECIMALS),
        matched=hit.matched,
        columns=row.columns,
        text=text_of(index.store, row),
        media=media,
    )
