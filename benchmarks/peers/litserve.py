# /// script
# dependencies = ["litserve==0.2.19", "python-multipart==0.0.34"]
# ///
"""LitServe: as many inference workers as cores, one process of HTTP before them, no waiting for batches."""

# No `from __future__ import annotations`: LitServe reads the annotation of decode_request as a class.
import os

import litserve as ls
from fastapi import Request, Response

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import RawInputs


class Triad(ls.LitAPI):
    def setup(self, _: str) -> None:
        self.pipeline = load_pipeline()

    def decode_request(self, request: Request) -> RawInputs:
        """Of a multipart request LitServe hands over the parsed form, whatever the annotation says."""
        files = {name: request[name].file.read() for name in ("image", "audio") if name in request}
        return RawInputs(text=request.get("text"), **files)

    def predict(self, raw: RawInputs) -> str:
        return self.pipeline.predict(raw)

    def encode_response(self, answer: str) -> Response:
        return Response(answer, media_type="application/json")


if __name__ == "__main__":
    server = ls.LitServer(Triad(), accelerator="cpu", workers_per_device=int(os.environ[WORKERS]), timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(os.environ[PORT]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
