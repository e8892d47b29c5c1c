"""One line for each request: who asked what, how it ended, where the time went; nothing of what was sent."""

from __future__ import annotations

import logging

from starlette.types import Scope

from triad_serving.http.record import Record

logger = logging.getLogger(__name__)


def log_request(scope: Scope, record: Record, status: int, seconds: float) -> None:
    """In the message for people, as fields for machines. The path is the route's, not the client's."""
    fields: dict[str, str | int | float] = {
        "id": record.id,
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", "none"),
        "status": status,
        "ms": _ms(seconds),
        "key": record.caller.name if record.caller else "",
        "problem": record.problem,
        "model": record.model,
        "version": record.prediction.version if record.prediction else "",
        "media": "+".join(record.media),
    }
    if (timings := record.timings) is not None:
        fields["preprocess_ms"] = _ms(timings.preprocess_s)
        fields["queue_ms"] = _ms(timings.queue_s)
        fields["inference_ms"] = _ms(timings.inference_s)
        fields["postprocess_ms"] = _ms(timings.postprocess_s)
    message = " ".join(f"{name}={value}" for name, value in fields.items() if value != "")
    logger.info(message, extra=fields)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
