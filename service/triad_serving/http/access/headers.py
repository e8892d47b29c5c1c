"""What browsers may do with an answer, and which other sites' pages may ask."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

RawHeaders = list[tuple[bytes, bytes]]

# Source: OWASP's REST Security Cheat Sheet. Pages have policies of their own.
VECTOR_HEADERS = ("X-Vectors", "X-Vector-Width", "X-Vector-Dtype", "X-Model")  # of /v1/embed as bare numbers
DEFAULTS: RawHeaders = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def add_defaults(headers: RawHeaders) -> None:
    """Where an answer has none of its own. Names are in lower case, as ASGI has them."""
    own = {name for name, _ in headers}
    headers.extend(each for each in DEFAULTS if each[0] not in own)


def other_sites(origins: Sequence[str]) -> list[Middleware]:
    """None where no origin may ask: then browsers let no other site's page read an answer."""
    if not origins:
        return []
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "X-Request-ID", "X-Request-Timeout-Ms"],
        expose_headers=["Retry-After", "Server-Timing", "X-Request-ID", *VECTOR_HEADERS],
    )
    return [cors]
