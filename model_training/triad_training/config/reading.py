"""Training configs from TOML files and `--set`, with every problem named by its field."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from triad_serving.contract.errors import ConfigError
from triad_training.config.train_config import TrainConfig


def load_config(path: Path, overrides: Sequence[str] = (), *, subset: str = "") -> TrainConfig:
    """Reads a TOML file; each override is `section.key=value`, the value as TOML writes it (or a bare word).

    subset: "text+image" for a specialist that reads no other medium, and is named so.
    Raises ConfigError with every problem, each with the name of its field.
    """
    document = read_document(path, overrides, subset=subset)
    return parse_config(document, path).with_paths_from(path.parent)


def read_document(path: Path, overrides: Sequence[str] = (), *, subset: str = "") -> dict[str, Any]:
    """The TOML file with the overrides, not checked yet. Raises ConfigError."""
    document = read_toml(path)
    if subset:
        overrides = [*overrides, f"data.subset={subset.split('+')}"]
        document["name"] = f"{document.get('name', '')}-{subset.replace('+', '-')}"
    for override in overrides:
        _apply(override, document)
    return document


def read_toml(path: Path) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def parse_config(document: Mapping[str, Any], path: Path) -> TrainConfig:
    """path: where the document comes from. Raises ConfigError with every problem."""
    try:
        return TrainConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(map(_complaint, error.errors())) + ".") from error


def trained_config(training: Mapping[str, Any]) -> TrainConfig:
    """The config that a bundle was trained by, from its manifest."""
    config = TrainConfig.model_validate(training)
    if "linear" in training["model"]:
        return config
    # From before there were linear experts.
    return config.model_copy(update={"model": config.model.model_copy(update={"linear": False})})


def _complaint(error: ErrorDetails) -> str:
    """One problem: the field, what is wrong with it, and what was written."""
    field = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "missing":
            return f"{field} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"there is no option {field}"
        case "value_error":
            return f"{field}{': ' if field else ''}{error['msg'].removeprefix('Value error, ')}"
        case _:
            value = error["input"]
            return f"{field}: {error['msg']}" + (
                f", not {value!r}" if isinstance(value, str | int | float) else ""
            )


def _apply(override: str, document: dict[str, Any]) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r}: expected section.key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise ConfigError(f"--set {override!r}: {section} is not a section.")
    document[last] = value
