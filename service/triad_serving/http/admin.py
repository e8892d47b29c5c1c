"""Who may change what the service does."""

from __future__ import annotations

import ipaddress

from fastapi import Request

from triad_serving.contract.errors import ForbiddenError
from triad_serving.settings import Settings


def require_admin(request: Request, settings: Settings) -> None:
    """Who asks from this machine, or everybody where TRIAD_ALLOW_RELOAD says so. Raises ForbiddenError."""
    host = request.client.host if request.client else ""
    if not (settings.allow_reload or _is_loopback(host)):
        raise ForbiddenError(
            "Only its own machine may ask for that; TRIAD_ALLOW_RELOAD=true lets others, too."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # no address: a test's client, a Unix socket's
        return False
