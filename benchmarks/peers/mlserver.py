# /// script
# dependencies = ["mlserver==1.7.1", "python-multipart==0.0.34", "uvloop<0.22"]
# ///
"""MLServer: a parallel worker per core; its custom handler takes multipart and hands the bytes to a worker.

Annotations stay classes (no `from __future__`): it wraps the handler where their names are not known. A file
is the handler's first parameter: its FastAPI (0.115) looks at that one to tell whether files become bytes.
"""

import asyncio
import os
from typing import Annotated

import mlserver
from fastapi import File, Form, Response
from mlserver.handlers import custom_handler
from mlserver.settings import ModelSettings, Settings

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import RawInputs


class Triad(mlserver.MLModel):
    async def load(self) -> bool:
        self.pipeline = load_pipeline()
        return True

    @custom_handler(rest_path="/predict")
    async def answer(
        self,
        image: Annotated[bytes, File()] = b"",
        audio: Annotated[bytes, File()] = b"",
        text: Annotated[str, Form()] = "",
    ) -> Response:
        raw = RawInputs(text=text or None, image=image or None, audio=audio or None)
        return Response(self.pipeline.predict(raw), media_type="application/json")


async def main() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(os.environ[PORT]),
        grpc_port=0,
        metrics_port=0,
        parallel_workers=int(os.environ[WORKERS]),
        debug=False,
        access_log=False,
        use_structured_logging=False,
    )
    model = ModelSettings(name="triad", implementation="benchmarks.peers.mlserver.Triad")
    await mlserver.MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
