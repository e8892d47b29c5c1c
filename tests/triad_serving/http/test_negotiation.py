"""Negotiation against the examples of RFC 9110 and what clients really send."""

from __future__ import annotations

import pytest

from triad_serving.http.negotiation import MOST_MEMBERS, preferred_language, preferred_type

JSON, PNG, HTML = "application/json", "image/png", "text/html"
OFFERS = (JSON, PNG, HTML)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
BROWSER_IMAGE = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (PNG, PNG),
        ("IMAGE/PNG", PNG),
        ("image/*", PNG),
        ("text/*, image/png;q=0.5", HTML),
        (BROWSER, HTML),
        (BROWSER_IMAGE, PNG),
        ("application/json; charset=utf-8", JSON),
        ("text/html;q=0.2, image/png;q=0.3", PNG),
        ("text/html ; q=0.3 , image/png ; q=0.2", HTML),
        ("*/*, application/json;q=0", PNG),  # the most specific range decides: JSON is ruled out
        ("image/*;q=0.9, image/png;q=0.1, text/html;q=0.5", HTML),
        ("image/png;q=1.000, text/html", PNG),
        ("image/jpeg, */*;q=0.1", JSON),
        ("image/png;q=high, text/html;q=0.1", HTML),  # the first is malformed
        ("image/png;q=2", None),
        ("image/jpeg", None),
        ("application/json;q=0", None),
        ("nonsense", None),
        (",;,=", None),
        (",".join([f"a/{n}" for n in range(MOST_MEMBERS)] + [PNG]), None),
    ],
)
def test_the_type_liked_best_is_chosen(accept: str | None, expected: str | None) -> None:
    assert preferred_type(accept, OFFERS) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "en"),
        ("*", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-Hant-TW", "zh"),
        ("en-GB,en;q=0.9,zh-CN;q=0.8", "en"),
        ("da, en-gb;q=0.8, en;q=0.7", "en"),
        ("de, zh;q=0.1", "zh"),
        ("de", "en"),
        ("en;q=0, *", "zh"),
        ("en;q=0, zh;q=0", "en"),
    ],
)
def test_the_language_liked_best_is_chosen_and_english_where_none_is(
    accept: str | None, expected: str
) -> None:
    assert preferred_language(accept, ("en", "zh")) == expected
