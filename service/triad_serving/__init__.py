"""Triad's serving half: a bundle and raw media in, predictions and attention out. Never imports torch.

What this module names is the public face, and stays; everything below it may move.

    Engine        answers from every bundle under a path: `with Engine.open(path) as engine`, or `async with`
    RawInputs     one example: a text, the bytes of an image and a sound, fields; any of them absent
    Options       what to answer: which model, how many labels, how much attention, which explanation
    Prediction    the answer, the same as over HTTP
    Settings      one running service, from TRIAD_* variables or arguments
    TriadError    the base of every error that is raised on purpose; its `status` is the HTTP status
    build_router  the /v1 routes for your own FastAPI application
    create_app    the whole service as a FastAPI application
    TriadClient   asks a running service, wherever it runs; AsyncTriadClient with `await` (extra `client`)
    AsyncTriadClient  see TriadClient
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triad_serving.client.asynchronous import AsyncTriadClient
    from triad_serving.client.blocking import TriadClient
    from triad_serving.contract.errors import TriadError
    from triad_serving.engine.engine import Engine
    from triad_serving.http.app import create_app
    from triad_serving.http.routes import build_router
    from triad_serving.inference.answer import Prediction
    from triad_serving.inference.options import Options
    from triad_serving.media.example import RawInputs
    from triad_serving.settings import Settings

__all__ = [
    "AsyncTriadClient",
    "Engine",
    "Options",
    "Prediction",
    "RawInputs",
    "Settings",
    "TriadClient",
    "TriadError",
    "build_router",
    "create_app",
]

# Imported when asked for: `triad --help` and the trainer need no web framework and no ONNX Runtime.
_MODULES = {
    "AsyncTriadClient": "client.asynchronous",
    "Engine": "engine.engine",
    "Options": "inference.options",
    "Prediction": "inference.answer",
    "RawInputs": "media.example",
    "Settings": "settings",
    "TriadClient": "client.blocking",
    "TriadError": "contract.errors",
    "build_router": "http.routes",
    "create_app": "http.app",
}


if not TYPE_CHECKING:  # type checkers then know these names only, and refuse others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted(__all__)
