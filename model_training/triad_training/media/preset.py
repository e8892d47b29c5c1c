"""What a preset sets of the media's options: sizes, encoders and augmentation that suit a table.

All of it is a choice for networks from scratch of so many rows, and yields to whatever a config sets itself.
Measured on made-up tickets (four media, sounds of 5 s; seconds of one core for 600 training rows): with 128
pixels in 256 cells, class defaults otherwise, 61, mostly self-attention over all tokens in five subsets of
media; in 64 cells 27; with 64 pixels in 16 cells and 0.16 s of sound to a token, width 64, 11; without fusion
layers 8, of which 6 are the sound's convolutions.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from triad_training.media.config import MediaColumns
from triad_training.media.pretrained.location import encoders_at_hand
from triad_training.media.text.inspection import text_lengths

Preset = Literal["fast", "default", "best"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
TableSize = Literal["tiny", "small", "medium", "large"]
Options: TypeAlias = dict[str, Any]  # a config document, or a part of one

SIZE_LIMITS: tuple[tuple[int, TableSize], ...] = ((500, "tiny"), (3_000, "small"), (20_000, "medium"))
WIDTHS: dict[Preset, dict[TableSize, int]] = {
    "fast": {"tiny": 32, "small": 32, "medium": 48, "large": 64},
    "default": {"tiny": 48, "small": 48, "medium": 96, "large": 128},
    "best": {"tiny": 64, "small": 64, "medium": 128, "large": 160},
}
DROPOUT: dict[TableSize, float] = {"tiny": 0.3, "small": 0.3, "medium": 0.2, "large": 0.1}
FROZEN_BELOW = 5_000  # training rows; with more, the default preset learns encoders of its own
TEXT_SAMPLE = 500  # texts that tell in which script a column is written, and how long
# An option of a group is left alone where the config sets any of the group: they have to fit each other.
GROUPS = (
    ("model.width", "model.heads"),
    (
        "preprocess.image.height",
        "preprocess.image.width",
        "preprocess.image.rows",
        "preprocess.image.columns",
    ),
    ("preprocess.audio.sample_rate_hz", "preprocess.audio.window", "preprocess.audio.hop"),
)


def size_of(rows: int) -> TableSize:
    """rows: of the training split."""
    return next((size for below, size in SIZE_LIMITS if rows < below), "large")


def media_options(
    preset: Preset, data: MediaColumns, train: Sequence[Mapping[str, str]], *, own: Options
) -> Options:
    """train: cells of the training rows. own: what the config sets itself.

    Few rows get small networks without self-attention, which has more to learn than they can teach.
    """
    size = size_of(len(train))
    many = size in ("medium", "large")
    model: Options = {
        "width": WIDTHS[preset][size],
        "heads": 4,
        "dropout": DROPOUT[size],
        "fusion_layers": 1 if many and preset != "fast" else 0,
        **_encoders(preset, data, train, own),
    }
    preprocess: Options = {}
    options: Options = {"model": model, "preprocess": preprocess}
    if data.text:
        model["text_layers"] = 1 if size == "large" else 0
        if texts := _sample_texts(train, data.text):
            preprocess["text"] = {"max_tokens": text_lengths(texts).wanted}
    if data.fields.names:
        model["field_layers"] = 1
    if data.image:
        cells = 8 if many else 4
        preprocess["image"] = {"height": 64, "width": 64, "rows": cells, "columns": cells}
    if data.audio:
        # 32 ms every 16: a third fewer frames than 10 ms apart, in tokens of 0.13 s; each symbol of a
        # transcript takes one of 0.03 s, and one more lies between two that are alike.
        types = {task.get("type") for task in own.get("tasks", {}).values() if isinstance(task, dict)}
        preprocess["audio"] = {
            "sample_rate_hz": 8000,
            "window": 256,
            "hop": 128,
            "frames_per_token": 2 if "transcript" in types else 8,
        }
    if preset != "fast":
        augment = _augmentation(size, data, strong=preset == "best")
        encoders = {**model, **own.get("model", {})}
        options["augment"] = {
            section: value for section, value in augment.items() if _suits(section, encoders)
        }
    return options


def _encoders(
    preset: Preset, data: MediaColumns, train: Sequence[Mapping[str, str]], own: Options
) -> Options:
    """Pretrained ones, frozen, of the media that have a column and no option of our own encoder's."""
    if preset == "fast" or (preset == "default" and len(train) >= FROZEN_BELOW):
        return {}
    found = dict(encoders_at_hand())
    spec, model = own.get("preprocess", {}), own.get("model", {})
    reads_words = own.get("lexicon") or {"pos", "drop_pos"} & set(spec.get("text", {}))
    splits_words = own.get("augment", {}).get("text", {}).get("split")
    if not data.text or reads_words or splits_words or mostly_chinese(train, data.text):
        found.pop("text", None)
    if not data.image:
        found.pop("image", None)
    if not data.audio or {"features", "denoise"} & set(model):
        found.pop("audio", None)
    return {f"{medium}_encoder": name for medium, name in found.items()}


def _suits(augmented: str, model: Options) -> bool:
    """A frozen encoder reads each item once if nothing changes it; a pretrained one computes no spectrum."""
    encoder = model.get(f"{'audio' if augmented == 'spectrum' else augmented}_encoder")
    if encoder is None:
        return True
    tuned = isinstance(encoder, dict) and encoder.get("tune", "frozen") != "frozen"
    return tuned and augmented != "spectrum"


def _augmentation(size: TableSize, data: MediaColumns, *, strong: bool) -> Options:
    """What changes no label that we know of: no flips, no turned colours, no masks over details."""
    if size == "large" and not strong:
        return {}
    words = {"tiny": 0.3, "small": 0.2, "medium": 0.1, "large": 0.05}[size]
    options: Options = {}
    if data.text:
        options["text"] = {"drop": words}
    if data.audio:
        options["spectrum"] = {"time_s": 0.1, "bands": 0.1}
    if data.fields.names:
        options["fields"] = {"drop": 0.1}
    if data.image and strong:
        options["image"] = {"crop": [0.8, 1.0], "rotate": 5, "brightness": [0.85, 1.15], "noise": 0.02}
    if data.audio and strong:
        options["audio"] = {"speed": [0.95, 1.05], "gain_db": [-6, 6], "shift_s": 0.1}
    return options


def mostly_chinese(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    """Whether more letters of the column are Han characters than of any other script."""
    letters = [character for text in _sample_texts(rows, column) for character in text if character.isalpha()]
    return 2 * sum(map(_is_han, letters)) > len(letters)


def _sample_texts(rows: Sequence[Mapping[str, str]], column: str) -> list[str]:
    texts = [cell for row in rows if (cell := row.get(column, "").strip())]
    return texts[:: max(len(texts) // TEXT_SAMPLE, 1)]


def _is_han(character: str) -> bool:
    return unicodedata.name(character, "").startswith("CJK ")
