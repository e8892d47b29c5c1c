"""Settings from the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from triad_serving import settings as settings_module
from triad_serving.media.limits import MediaLimits
from triad_serving.settings import SHIPPED_MODELS, Settings, usable_cores


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRIAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRIAD_MODELS", str(tmp_path))


def test_the_defaults_serve_the_shipped_models_within_the_promised_caps() -> None:
    settings = Settings()

    assert Settings.model_fields["models"].default == SHIPPED_MODELS
    assert SHIPPED_MODELS.parts[-2:] == ("triad_serving", "models")
    assert settings.device == "auto"
    assert settings.threads == usable_cores()
    assert settings.media_limits == MediaLimits()
    assert settings.media_limits == MediaLimits(
        max_characters=10_000,
        max_image_bytes=20 * 1024 * 1024,
        max_pixels=64_000_000,
        max_audio_bytes=50 * 1024 * 1024,
        max_audio_s=600,
    )


def test_every_setting_can_be_given_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {
        "models": tmp_path,
        "device": "cpu",
        "gpu_memory_mib": 512,
        "threads": 3,
        "max_batch": 5,
        "max_queue": 7,
        "max_queue_s": 0.5,
        "request_timeout_s": 2.5,
        "max_upload_mib": 11,
        "max_text_characters": 13,
        "max_image_mib": 0.5,
        "max_image_megapixels": 1.5,
        "max_audio_mib": 2.0,
        "max_audio_s": 17.0,
        "api_keys_file": tmp_path / "keys.toml",
        "log_level": "debug",
        "log_format": "json",
        "log_requests": True,
    }
    given["api_keys_file"].touch()
    assert given.keys() <= Settings.model_fields.keys()
    for name, value in given.items():
        monkeypatch.setenv(f"TRIAD_{name.upper()}", str(value))

    settings = Settings()

    assert {name: getattr(settings, name) for name in given} == given
    assert settings.media_limits == MediaLimits(
        max_characters=13,
        max_image_bytes=512 * 1024,
        max_pixels=1_500_000,
        max_audio_bytes=2 * 1024 * 1024,
        max_audio_s=17,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODELS", "/no/such/folder"),
        ("DEVICE", "tpu"),
        ("GPU_MEMORY_MIB", "0"),
        ("THREADS", "0"),
        ("MAX_BATCH", "many"),
        ("MAX_QUEUE", "-1"),
        ("MAX_QUEUE_S", "0"),
        ("MAX_IMAGE_MEGAPIXELS", "0"),
        ("MAX_AUDIO_S", "-5"),
        ("API_KEYS_FILE", "/no/such/file"),
        ("BUNDLE_PUBLIC_KEY", "/no/such/file"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_an_impossible_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"TRIAD_{name}", value)

    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [error["loc"] for error in caught.value.errors()] == [(name.lower(),)]


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().cors_origins == ()
    monkeypatch.setenv("TRIAD_CORS_ORIGINS", "https://a.example, http://localhost:3000")
    assert Settings().cors_origins == ("https://a.example", "http://localhost:3000")
    monkeypatch.setenv("TRIAD_CORS_ORIGINS", "https://a.example/path")
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings()


def test_a_cap_on_pixels_past_the_decoders_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses twice its MAX_IMAGE_PIXELS whatever we say: a larger cap would not be kept."""
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 178_000_000 <= 2 * Image.MAX_IMAGE_PIXELS < 179_000_000
    monkeypatch.setenv("TRIAD_MAX_IMAGE_MEGAPIXELS", "179")

    with pytest.raises(ValidationError, match="less than or equal to 178"):
        Settings()


def test_settings_do_not_change_while_a_service_runs() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().threads = 2


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert not field.is_required(), name


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), (None, 8)]
)
def test_a_container_has_the_cores_of_its_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(settings_module, "CPU_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cores() == cores
