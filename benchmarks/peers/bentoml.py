# /// script
# dependencies = ["bentoml==1.4.40", "httptools==0.9.0", "python-multipart==0.0.34", "uvloop==0.23.0"]
# ///
"""BentoML: a worker per core, a Starlette endpoint in it.

Its own endpoints cannot take a file that may be absent (`Path | None`, 1.4.40 on Python 3.11), nor bytes.
"""

from __future__ import annotations

import os
import sys

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import RawInputs


async def predict(request: Request) -> Response:
    async with request.form() as form:
        files = {name: await form[name].read() for name in ("image", "audio") if name in form}
        raw = RawInputs(text=form.get("text"), **files)
    service: Triad = bentoml.get_current_service()
    return Response(service.pipeline.predict(raw), media_type="application/json")


@bentoml.service(
    workers=int(os.environ[WORKERS]), traffic={"timeout": 60}, logging={"access": {"enabled": False}}
)
@bentoml.asgi_app(Starlette(routes=[Route("/predict", predict, methods=["POST"])]))
class Triad:
    def __init__(self) -> None:
        self.pipeline = load_pipeline()


if __name__ == "__main__":
    target = "benchmarks.peers.bentoml:Triad"
    command = ["-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", os.environ[PORT]]
    os.execv(sys.executable, [sys.executable, *command])
