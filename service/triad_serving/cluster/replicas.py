"""The service as a Ray Serve application: each replica is a process with its own engine and all routes."""

from __future__ import annotations

import asyncio
import functools
import logging.config
import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator

from triad_serving.contract.errors import SetupError, UnavailableError
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.operation.quiet import quiet_libraries
from triad_serving.operation.server import log_config, take_changed
from triad_serving.operation.watching import watching
from triad_serving.settings import Settings

if TYPE_CHECKING:
    from ray.serve import Application

NAME = "triad"  # of the application, and of its only deployment
CLOSING_S = 5  # beyond the longest life of a request, as uvicorn has it


class Scale(BaseModel):
    """How many replicas, and what each gets of its machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int = Field(default=1, ge=1, description="Replicas that are always there.")
    max_replicas: int = Field(default=1, ge=1, description="Most replicas.")
    queue: float = Field(
        default=8,
        gt=0,
        description="Requests under way and waiting for each replica, on average, past which one is added.",
    )
    cpus: float = Field(default=1, gt=0, description="Cores of each replica.")
    gpus: float = Field(default=0, ge=0, description="Share of a GPU, or GPUs, of each replica.")
    upscale_delay_s: float = Field(default=5, ge=0, description="Seconds that more are wanted before.")
    downscale_delay_s: float = Field(default=300, ge=0, description="Seconds that fewer would do before.")

    @model_validator(mode="after")
    def _ordered(self) -> Scale:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"at most {self.max_replicas} replicas are fewer than at least {self.min_replicas}"
            )
        return self


class Replica:
    """What a replica does beside answering. Ray Serve adds `app`, which it runs with its lifespan."""

    app: FastAPI

    def check_health(self) -> None:
        """Asked by Ray, which replaces the replica where it raises: UnavailableError."""
        if self.app.state.engine.dead:
            raise UnavailableError("This replica answers nothing any more.")

    async def take_models(self, name: str, version: str | None) -> None:
        """Raises what `Engine.load` raises."""
        await asyncio.to_thread(self.app.state.engine.load, name, version)


def build_application(arguments: dict[str, Any]) -> Application:
    """What `serve deploy` and KubeRay import and call with fields of Scale; TRIAD_* are the machine's."""
    return application(Settings(), Scale.model_validate(arguments))


def application(settings: Settings, scale: Scale) -> Application:
    """Replicas open `settings.models`: the same path on every machine. Raises SetupError without Ray."""
    serve = import_serve()
    own = of_replica(settings, scale)

    def build() -> FastAPI:  # in a replica; Ray takes a function only, no partial
        logging.config.dictConfig(log_config(own.log_level, own.log_format))
        quiet_libraries()
        return build_app(own)

    deployment = serve.deployment(serve.ingress(build)(Replica))
    return deployment.options(
        name=NAME,
        autoscaling_config={
            "min_replicas": scale.min_replicas,
            "max_replicas": scale.max_replicas,
            "target_ongoing_requests": scale.queue,
            "upscale_delay_s": scale.upscale_delay_s,
            "downscale_delay_s": scale.downscale_delay_s,
        },
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus},
        # A full engine refuses with a problem and Retry-After, of which Ray's own refusal has neither.
        max_ongoing_requests=2 * settings.max_queue,
        max_queued_requests=settings.max_queue,
        logging_config={"enable_access_log": False},  # TRIAD_LOG_REQUESTS says more
        graceful_shutdown_timeout_s=settings.request_timeout_s + CLOSING_S,
    ).bind()


def of_replica(settings: Settings, scale: Scale) -> Settings:
    """With threads for the cores that a replica gets, not for those of the machine that deploys it."""
    settings = with_absolute_paths(settings)
    if "threads" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"threads": math.ceil(scale.cpus)})


def with_absolute_paths(settings: Settings) -> Settings:
    """Ray's processes have another working directory."""
    paths = {name: value.absolute() for name, value in settings if isinstance(value, Path)}
    return settings.model_copy(update=paths)


def import_serve() -> Any:
    """ray.serve. Raises SetupError where it is not installed."""
    try:
        from ray import serve
    except ModuleNotFoundError as error:
        raise missing_ray(error) from error
    return serve


def missing_ray(error: ModuleNotFoundError) -> SetupError:
    return SetupError(f"{error.name} is missing: pip install triad-serving[ray]")


def build_app(settings: Settings) -> FastAPI:
    """The whole service, whose lifespan opens its engine; what changes its models changes every replica's."""
    engine = Engine.open(settings.models, settings)
    engine.supervisor = functools.partial(_load_everywhere, engine)
    app = create_app(engine=engine)
    app.state.watching = ExitStack()  # held: the thread looks as long as the replica lives
    app.state.watching.enter_context(watching(settings, functools.partial(take_changed, engine)))
    return app


def _load_everywhere(engine: Engine, name: str, version: str | None) -> None:
    """In this replica first, which verifies it for the others. Raises UnavailableError, as `load` does."""
    serve = import_serve()
    engine.load(name, version)
    context = serve.get_replica_context()
    handle = serve.get_deployment_handle(context.deployment, context.app_name)
    try:
        handle.broadcast("take_models", name, version).results(timeout_s=engine.settings.request_timeout_s)
    except Exception as error:  # whatever the models' loading raised elsewhere, as Ray wraps it
        raise UnavailableError(f"Not every replica serves it yet; ask again. {error}") from error
