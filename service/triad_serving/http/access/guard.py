"""What a route asks of its caller: a key, or an admin key."""

from __future__ import annotations

import functools
import math
import time

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from triad_serving.contract.errors import ForbiddenError, RateLimitError, UnauthorizedError
from triad_serving.http.access.keys import KeyFile
from triad_serving.http.record import Caller, record_of

SCHEME = "Bearer"


class RequireKey(SecurityBase):
    """A dependency: 401 without a key of the file, 429 over the key's rate; it notes who the caller is.

    A class of FastAPI's security, so that the OpenAPI description has it, and Swagger UI asks for it.
    """

    def __init__(self, keys: KeyFile) -> None:
        self.model = HTTPBearer(description="`Authorization: Bearer KEY`; `triad key NAME` makes one.")
        self.scheme_name = "key"
        self._keys = keys

    @functools.cached_property
    def _rates(self) -> _Rates:
        return _Rates()

    async def __call__(self, request: Request) -> None:
        """Raises UnauthorizedError, RateLimitError."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != SCHEME.lower():
            raise UnauthorizedError("Send an API key: Authorization: Bearer KEY.", field="Authorization")
        found = self._keys.find(secret.strip())
        if found is None:
            raise UnauthorizedError("The API key is not one of this service.", field="Authorization")
        name, key = found
        record_of(request).caller = Caller(name=name, admin=key.admin)
        if key.rate is not None:
            self._rates.count(name, key.rate)


async def require_admin(request: Request) -> None:
    """Raises ForbiddenError, also where the service has no keys: then nobody is an admin."""
    caller = record_of(request).caller
    if caller is None:
        raise ForbiddenError("This needs an admin key, and the service has no keys (TRIAD_API_KEYS_FILE).")
    if not caller.admin:
        raise ForbiddenError(f"This needs an admin key; {caller.name} is none.")


AdminOnly = Depends(require_admin)  # for a route's `dependencies`, in a router that RequireKey guards


class _Rates:
    """Requests by key, of this process, in windows of the clock."""

    def __init__(self) -> None:
        # Of an extra, which `read_keys` asks for where a key has a rate.
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._parse = functools.cache(parse)

    def count(self, name: str, rate: str) -> None:
        """Raises RateLimitError."""
        limit = self._parse(rate)
        if self._limiter.hit(limit, name):
            return
        wait_s = self._limiter.get_window_stats(limit, name).reset_time - time.time()
        raise RateLimitError(
            f"The key {name} may ask {rate.replace('/', ' times a ')}.",
            limit=limit.amount,
            retry_after_s=max(1, math.ceil(wait_s)),
        )
