"""A request's stages as spans of OpenTelemetry, within the span that FastAPI makes of the request.

Imported only where FastAPI traces: where OTEL_EXPORTER_OTLP_ENDPOINT is set, or a host application has set a
tracer provider. FastAPI reads the W3C trace context that a request brings.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace.propagation import set_span_in_context
from starlette.datastructures import MutableHeaders

from triad_serving.http.record import Record

NANOSECONDS = 1_000_000_000


def trace_request(record: Record, headers: MutableHeaders) -> None:
    """headers: of the answer; they get the W3C trace context, as `traceresponse`.

    The stages are laid end to end before the moment at which the answer was ready: what passed between them,
    mostly the event loop's turn, shows as a gap after the upload.
    """
    span = trace.get_current_span()
    context = span.get_span_context()
    headers["traceresponse"] = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    if not span.is_recording():
        return
    span.set_attribute("triad.request_id", record.id)
    if record.problem:
        span.set_attribute("triad.problem", record.problem)
    if record.prediction is None or record.timings is None:
        return
    span.set_attribute("triad.model", f"{record.prediction.model}/{record.prediction.version}")
    span.set_attribute("triad.media", list(record.media))
    timings = record.timings
    stages = {
        "postprocess": timings.postprocess_s,
        "inference": timings.inference_s,
        "queue": timings.queue_s,
        "preprocess": timings.preprocess_s,
    }
    tracer, within = trace.get_tracer("triad_serving"), set_span_in_context(span)
    end_ns = record.answered_ns
    for name, spent_s in stages.items():
        start_ns = end_ns - int(spent_s * NANOSECONDS)
        tracer.start_span(name, within, start_time=start_ns).end(end_ns)
        end_ns = start_ns
