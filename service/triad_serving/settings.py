"""Settings: every TRIAD_* environment variable, with its default, unit and one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from triad_serving.contract.device import Device, GpuMode
from triad_serving.contract.log_format import LogFormat
from triad_serving.media.limits import MediaLimits

SHIPPED_MODELS = Path(__file__).parent / "models"
MIB = 2**20
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
Fairness: TypeAlias = Literal["off", "address", "key"]
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where workers count; prometheus_client reads it when imported


def usable_cores() -> int:
    """That this process may use: a container's share where it has one, rounded up, not the machine's."""
    if not hasattr(os, "sched_getaffinity"):  # on macOS and Windows
        return os.cpu_count() or 1
    return max(1, min(len(os.sched_getaffinity(0)), _quota_cores()))


def _quota_cores() -> int:
    """Of this container. Source: the Linux kernel's documentation of control groups, version 2, cpu.max."""
    try:
        quota, period = CPU_QUOTA.read_text().split()
    except FileNotFoundError:  # no container's view, or version 1
        return sys.maxsize
    return sys.maxsize if quota == "max" else -(-int(quota) // int(period))


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return path


def _separated(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/,\s]+)$")]


class Settings(BaseSettings):
    """One running service. Read from the environment when made, never on import."""

    model_config = SettingsConfigDict(env_prefix="TRIAD_", frozen=True)

    models: Annotated[Path, AfterValidator(_existing)] = Field(
        default=SHIPPED_MODELS, description="A bundle, or a folder of bundles (<name>/<version>/)."
    )
    index: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None, description="An index, or a folder of them, that `triad index` made: /v1/search."
    )
    default_versions: dict[str, str] = Field(
        default={},
        description='Which version answers where none is asked for; else the highest: {"digits": "1"}.',
    )
    watch_s: float = Field(
        default=0, ge=0, description="Seconds between two looks for changed models, then served; 0: none."
    )
    allow_reload: bool = Field(
        default=False,
        description="Without keys: whether others than this machine may ask for a reload.",
    )
    device: Device = Field(default="auto", description="auto: CUDA where it can be had.")
    precision: Literal["auto", "single", "int8"] = Field(
        default="auto",
        description="Which graph of a bundle a CPU runs where one has 8-bit weights; auto: the faster.",
    )
    gpu_mode: GpuMode = Field(
        default="kernels",
        description="How a GPU runs a model: kernels one by one, as CUDA graphs, or compiled by TensorRT.",
    )
    gpu_memory_mib: int | None = Field(
        default=None,
        ge=1,
        description="Most that one model's arena takes of a GPU, MiB, CUDA's own not counted.",
    )
    threads: int = Field(
        default_factory=usable_cores,
        ge=1,
        description="Threads that preprocess, and on a CPU run the model.",
    )

    max_batch: int = Field(default=32, ge=1, description="Most examples in one run of the graph.")
    max_queue: int = Field(
        default=128, ge=1, description="Most examples accepted and not yet answered; past it: 503."
    )
    max_queue_s: float = Field(
        default=10.0,
        gt=0,
        description="Longest wait in the queue, seconds; what would wait longer is refused at once: 503.",
    )
    fair: Fairness = Field(
        default="off",
        description="Clients, by `address` or by `key`, for whom places are kept while others fill all.",
    )
    request_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest life of a request, upload included, seconds; past it: 504."
    )
    max_upload_mib: int = Field(
        default=512, ge=1, description="Most request bytes held at once over all clients, MiB; past it: 503."
    )

    max_rows: int = Field(default=1000, ge=1, description="Most rows of one request for many; past it: 413.")
    max_rows_mib: float = Field(
        default=64, gt=0, description="Largest request for many, MiB, all its files together; past it: 413."
    )

    max_text_characters: int = Field(default=10_000, ge=1, description="Longest text, Unicode code points.")
    max_image_mib: float = Field(default=20, gt=0, description="Largest image file, MiB.")
    max_image_megapixels: float = Field(
        default=64,
        gt=0,
        le=178,
        description="Largest image, millions of pixels; the decoder itself ends at 178.",
    )
    max_audio_mib: float = Field(default=50, gt=0, description="Largest sound file, MiB.")
    max_audio_s: float = Field(default=600, gt=0, description="Longest sound, seconds.")

    max_occlusions: int = Field(
        default=64,
        ge=1,
        description="Most parts of one medium that an explanation hides, one run of the graph each.",
    )

    grpc_address: Annotated[str, Field(pattern=r"^.+:[0-9]+$")] | None = Field(
        default=None, description="`host:port` to serve the Open Inference Protocol over gRPC, too."
    )
    api_keys_file: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None, description="Who may ask; made by `triad key`. Without it everybody may."
    )
    bundle_public_key: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None,
        description="Ed25519, PEM; only bundles that `triad sign` signed with its other half are served.",
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_separated)] = Field(
        default_factory=tuple,
        description="Sites whose pages may ask, separated by commas: https://shop.example. `*`: all.",
    )

    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        default="info", description="What the service logs."
    )

    log_format: LogFormat = Field(
        default=LogFormat.LINES, description="Lines for people, or JSON for machines."
    )
    log_requests: bool = Field(
        default=False, description="A line for each request; it costs 40 us as text, 65 us as JSON."
    )

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(
            max_characters=self.max_text_characters,
            max_image_bytes=int(self.max_image_mib * MIB),
            max_pixels=int(self.max_image_megapixels * 1_000_000),
            max_audio_bytes=int(self.max_audio_mib * MIB),
            max_audio_s=self.max_audio_s,
        )
