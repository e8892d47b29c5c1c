"""A microservice of one's own that has Triad's routes beside its own, and asks the same engine itself.

uvicorn --app-dir examples/embed mounted:app --port 8001
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, File, HTTPException
from pydantic import BaseModel

import triad_serving
from triad_serving import Engine, Options, RawInputs, TriadError, build_router

MODELS = Path(triad_serving.__file__).parent / "models"  # yours: a folder of NAME/VERSION/
engine = Engine.open(MODELS)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine:
        yield


app = FastAPI(title="Orders", lifespan=lifespan)
app.include_router(build_router(engine), prefix="/ml")


class Reading(BaseModel):
    order: int
    digit: str
    probability: float


@app.post("/orders/{order}/photo")
async def read_photo(order: int, photo: Annotated[bytes, File()]) -> Reading:
    """Which digit a photo shows."""
    try:
        prediction = await engine.predict(RawInputs(image=photo), Options(attention="none"))
    except TriadError as error:
        raise HTTPException(error.status, error.detail) from error
    digit = prediction.predictions["digit"]
    return Reading(order=order, digit=digit.label, probability=digit.probability)
