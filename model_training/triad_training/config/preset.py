"""What a preset sets of a config: the options that the file leaves open, by the rows to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from triad_training.config.train_config import TrainConfig
from triad_training.media.preset import (
    GROUPS,
    Options,
    Preset,
    TableSize,
    media_options,
    size_of,
)

EPOCHS: dict[Preset, dict[TableSize, int]] = {
    "fast": {"tiny": 20, "small": 12, "medium": 6, "large": 3},
    "default": {"tiny": 40, "small": 20, "medium": 12, "large": 8},
    "best": {"tiny": 80, "small": 40, "medium": 24, "large": 12},
}
BATCHES: dict[TableSize, int] = {"tiny": 16, "small": 32, "medium": 64, "large": 128}
TRANSCRIPT_BATCH = 16  # CTC takes hundreds of steps to find out where anything is said


def with_preset(
    document: Options, config: TrainConfig, train: Sequence[Mapping[str, str]]
) -> tuple[Options, Options]:
    """The document with the options of its preset, and those alone that it did not set.

    config: the document, parsed. train: cells of the rows to train on.
    """
    chosen = {
        "optim": _optimisation(config, size_of(len(train))),
        **media_options(config.preset, config.data, train, own=document),
    }
    for group in GROUPS:
        if any(_has(document, option) for option in group):
            for option in group:
                _drop(chosen, option)
    left = _missing(chosen, document)
    return merged(document, left), left


def merged(document: Options, options: Options) -> Options:
    """Options within the document's sections; what stands in the document stays."""
    result = dict(document)
    for key, value in options.items():
        if isinstance(value, dict):
            inner = result.get(key, {})
            result[key] = merged(inner, value) if isinstance(inner, dict) else inner
        else:
            result.setdefault(key, value)
    return result


def summary(preset: Preset, rows: int, chosen: Options) -> str:
    """One line for the start of a training: what was chosen, as `--set` would say it."""
    named = ", ".join(f"{name}={_written(value)}" for name, value in flat(chosen))
    return f"preset {preset}, {rows} training rows ({size_of(rows)}): {named or 'everything is set'}"


def flat(options: Options, prefix: str = "") -> list[tuple[str, object]]:
    """Dotted names with their values."""
    found: list[tuple[str, object]] = []
    for key, value in options.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def _optimisation(config: TrainConfig, size: TableSize) -> Options:
    """Averaged weights lag behind in the first epochs of a small table: patience is half of all epochs."""
    epochs, few = EPOCHS[config.preset][size], size in ("tiny", "small")
    transcribes = any(task.type == "transcript" for task in config.tasks.values())
    return {
        "epochs": epochs,
        "batch_size": TRANSCRIPT_BATCH if transcribes else BATCHES[size],
        "learning_rate": 2e-3,
        "weight_decay": 0.1 if few else 0.05,
        "average": 0.98 if few else 0.995,
        "label_smoothing": 0.1 if few else 0.05,
        "patience": max(epochs // 2, 2),
        "workers": 0 if few else 2,  # two processes start in the time that such an epoch takes to read
    }


def _missing(chosen: Options, document: Options) -> Options:
    """The part of `chosen` that the document does not set; a section written as a plain value is set."""
    left: Options = {}
    for key, value in chosen.items():
        if isinstance(value, dict):
            inner = document.get(key, {})
            if isinstance(inner, dict) and (rest := _missing(value, inner)):
                left[key] = rest
        elif key not in document:
            left[key] = value
    return left


def _has(document: Options, option: str) -> bool:
    section, _, rest = option.partition(".")
    inner = document.get(section)
    return section in document and (not rest or (isinstance(inner, dict) and _has(inner, rest)))


def _drop(options: Options, option: str) -> None:
    *sections, last = option.split(".")
    for section in sections:
        options = options.get(section, {})
    options.pop(last, None)


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
