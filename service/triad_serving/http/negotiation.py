"""Which of several representations a request likes best, by Accept and Accept-Language.

Source: RFC 9110, section 12.5; Starlette has no such thing. Passed over: malformed members, and parameters
other than q, as no offer has any.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

MOST_MEMBERS = 64  # of one header; browsers send up to ten
QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")

Offer = TypeVar("Offer", bound=str)


def preferred_type(accept: str | None, offers: Sequence[Offer]) -> Offer | None:
    """The media type that is liked best, of equally liked ones the first; None where none is acceptable."""
    ranges = _members(accept) if accept else {"*/*": 1.0}
    return _best(offers, [_quality(ranges, (o, f"{o.split('/')[0]}/*", "*/*")) for o in offers])


def preferred_language(accept: str | None, offers: Sequence[Offer]) -> Offer:
    """Likewise; `en` also serves who asks for en-GB. The first where none is liked: better than no answer."""
    ranges: dict[str, float] = {}
    for language, quality in _members(accept or "*").items():
        primary = language.split("-")[0]
        ranges[primary] = max(quality, ranges.get(primary, 0.0))
    return _best(offers, [_quality(ranges, (offer, "*")) for offer in offers]) or offers[0]


def _members(header: str) -> dict[str, float]:
    """Quality by range."""
    found: dict[str, float] = {}
    for member in header.split(",")[:MOST_MEMBERS]:
        value, *parameters = (part.strip().lower() for part in member.split(";"))
        quality = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        if value and QUALITY.fullmatch(quality):
            found[value] = float(quality)
    return found


def _quality(ranges: dict[str, float], fitting: Sequence[str]) -> float:
    """Of the first that is there of the ranges that fit an offer, the most specific first."""
    return next((ranges[each] for each in fitting if each in ranges), 0.0)


def _best(offers: Sequence[Offer], qualities: Sequence[float]) -> Offer | None:
    best = max(qualities)
    return offers[qualities.index(best)] if best > 0 else None
