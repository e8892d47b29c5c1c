# /// script
# dependencies = ["ray[serve]==2.60.0", "python-multipart==0.0.34"]
# ///
"""Ray Serve: a replica per core behind its HAProxy, options for throughput on, logs of requests off.

With its own proxy of Python in between it answered half as many requests.
"""

from __future__ import annotations

import os
import signal

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import RawInputs


@serve.deployment(
    num_replicas=int(os.environ[WORKERS]),
    ray_actor_options={"num_cpus": 0.5},
    max_ongoing_requests=64,
    logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
)
class Triad:
    def __init__(self) -> None:
        self.pipeline = load_pipeline()

    async def __call__(self, request: Request) -> Response:
        async with request.form() as form:
            files = {name: await form[name].read() for name in ("image", "audio") if name in form}
            raw = RawInputs(text=form.get("text"), **files)
        return Response(self.pipeline.predict(raw), media_type="application/json")


if __name__ == "__main__":
    ray.init(num_cpus=int(os.environ[WORKERS]) + 1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ[PORT])))
    serve.run(Triad.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
