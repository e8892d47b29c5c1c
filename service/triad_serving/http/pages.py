"""The pages for people: the playground at /, the search at /search, the reference at /docs and /redoc.

They are static files in the folder `playground`; nothing comes from elsewhere. The HTML is revalidated on
every visit; all else lies under a name that changes with the folder's content, so that browsers keep it for a
year and never mix two releases. Addresses are relative: the pages work under any root path and prefix.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parents[1] / "playground"
CURRENT = b"page/@/"  # what the HTML calls the folder, whose name is known when it was read
KEPT_S = 365 * 24 * 3600
TYPES = {".js": "text/javascript", ".md": "text/plain"}  # systems disagree about these
READ_ONLY = ["GET", "HEAD"]

_BASE = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
)
PLAYGROUND = (
    f"{_BASE}script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
SWAGGER_UI = f"{_BASE}script-src 'self'; style-src 'self'; img-src 'self' data: blob:"
REDOC = (  # it makes style elements, and for its search a worker, from strings of its own
    f"{_BASE}script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:"
)
GUARDS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file as it is sent."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        guessed = TYPES.get(Path(self.name).suffix) or mimetypes.guess_type(self.name)[0]
        return guessed or "application/octet-stream"

    @cached_property
    def etag(self) -> str:
        """Weak: the compressed form has the same."""
        return f'W/"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    @cached_property
    def gzipped(self) -> bytes | None:
        """None where it would not pay: pictures and sounds are compressed already."""
        if not self.media_type.startswith(("text/", "image/svg")):
            return None
        return gzip.compress(self.content, mtime=0)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Every file by its path, and a digest of them all."""

    assets: dict[str, Asset]
    digest: str


@cache
def read_site() -> Site:
    """Once per process."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}
    whole = hashlib.sha256()
    for name, content in files.items():
        whole.update(f"{name} {len(content)}\n".encode() + content)
    digest = whole.hexdigest()[:12]
    for name in (name for name in files if name.endswith(".html")):
        files[name] = files[name].replace(CURRENT, f"page/{digest}/".encode())
    return Site(assets={name: Asset(name=name, content=files[name]) for name in files}, digest=digest)


def build_pages_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=READ_ONLY)
    def get_playground(request: Request) -> Response:
        return _page(request, "index.html", PLAYGROUND)

    @router.api_route("/search", methods=READ_ONLY)
    def get_search(request: Request) -> Response:
        return _page(request, "search.html", PLAYGROUND)

    @router.api_route("/docs", methods=READ_ONLY)
    def get_docs(request: Request) -> Response:
        return _page(request, "reference/docs.html", SWAGGER_UI)

    @router.api_route("/redoc", methods=READ_ONLY)
    def get_redoc(request: Request) -> Response:
        return _page(request, "reference/redoc.html", REDOC)

    @router.api_route("/favicon.ico", methods=READ_ONLY)
    def get_icon(request: Request) -> Response:
        """Asked for by browsers on whatever names no icon itself: /healthz, /v1/models."""
        return _send(request, read_site().assets["icon.svg"], {"Cache-Control": "no-cache"})

    @router.api_route("/page/{digest}/{path:path}", methods=READ_ONLY)
    def get_asset(request: Request, digest: str, path: str) -> Response:
        """A page that was opened before an update still finds its files, but does not keep them."""
        site = read_site()
        if path not in site.assets:
            raise HTTPException(404)
        current = digest == site.digest
        caching = f"public, max-age={KEPT_S}, immutable" if current else "no-cache"
        return _send(request, site.assets[path], {"Cache-Control": caching})

    return router


def _page(request: Request, name: str, policy: str) -> Response:
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
    return _send(request, read_site().assets[name], headers)


def _send(request: Request, asset: Asset, headers: dict[str, str]) -> Response:
    headers = {**GUARDS, **headers, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = asset.content
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        content = asset.gzipped
    return Response(content, media_type=asset.media_type, headers=headers)
