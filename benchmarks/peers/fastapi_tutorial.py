# /// script
# dependencies = [
#     "fastapi==0.165.0", "httptools==0.9.0", "python-multipart==0.0.34", "uvicorn==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""FastAPI as its tutorial has it: `Form`, `UploadFile`, a `def` endpoint on the pool of threads; workers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Form, Request, Response, UploadFile

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import RawInputs


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pipeline = load_pipeline()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(
    request: Request,
    text: Annotated[str | None, Form()] = None,
    image: UploadFile | None = None,
    audio: UploadFile | None = None,
) -> Response:
    raw = RawInputs(
        text=text, image=image.file.read() if image else None, audio=audio.file.read() if audio else None
    )
    return Response(request.app.state.pipeline.predict(raw), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.peers.fastapi_tutorial:app",
        port=int(os.environ[PORT]),
        workers=int(os.environ[WORKERS]),
        access_log=False,
    )
