"""What a route asks of its caller: a key, or an admin key."""

from __future__ import annotations

import functools
import ipaddress
import math
import time

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from triad_serving.contract.errors import ForbiddenError, RateLimitError, UnauthorizedError
from triad_serving.http.access.keys import KeyFile
from triad_serving.http.record import Caller, record_of
from triad_serving.settings import Settings

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
        charge = functools.partial(self._rates.count, name, key.rate) if key.rate is not None else None
        record_of(request).caller = Caller(name=name, admin=key.admin, charge=charge)
        if charge is not None:
            charge(1)


def require_admin(request: Request, settings: Settings) -> None:
    """An admin key; where there are no keys, this machine, or everybody if TRIAD_ALLOW_RELOAD says so.

    Raises ForbiddenError.
    """
    caller = record_of(request).caller
    if settings.api_keys_file is not None:
        if caller is None or not caller.admin:
            raise ForbiddenError("This needs an admin key.")
    elif not (settings.allow_reload or _is_loopback(request)):
        raise ForbiddenError(
            "Only its own machine may ask for that. Admin keys let others, too, or TRIAD_ALLOW_RELOAD=true."
        )


def _is_loopback(request: Request) -> bool:
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:  # no address: a test's client, a Unix socket's
        return False


class _Rates:
    """Requests by key, of this process, in windows of the clock."""

    def __init__(self) -> None:
        # Of an extra, which `read_keys` asks for where a key has a rate.
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._parse = functools.cache(parse)

    def count(self, name: str, rate: str, requests: int) -> None:
        """Raises RateLimitError."""
        limit = self._parse(rate)
        # What does not fit would count, too.
        fits = requests == 1 or self._limiter.test(limit, name, cost=requests)
        if fits and self._limiter.hit(limit, name, cost=requests):
            return
        wait_s = self._limiter.get_window_stats(limit, name).reset_time - time.time()
        raise RateLimitError(
            f"The key {name} may ask {rate.replace('/', ' times a ')}.",
            limit=limit.amount,
            retry_after_s=max(1, math.ceil(wait_s)),
        )
