"""The README's promise: every option is used in an example, and every example is read."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from tests.examples.conftest import EXAMPLES
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.media.config import LEARNT
from triad_training.media.text.config import LANGUAGE

CONFIGS = sorted(EXAMPLES.glob("*/*.toml"))


def options_of(section: type, prefix: str = "") -> Iterator[str]:
    """Dotted names of every option in a section and in those inside it; a task's are tasks.*.NAME."""
    types = get_type_hints(section)
    fields = (
        section.model_fields
        if issubclass(section, BaseModel)
        else [field.name for field in dataclasses.fields(section) if not field.metadata.get("learnt")]
    )
    for name in fields:
        if issubclass(section, BaseModel) and section.model_fields[name].json_schema_extra == LEARNT:
            continue  # no option: training finds it out
        inner = section_in(types[name])
        if inner is None:
            yield prefix + name
        else:
            named = f"{name}.*." if get_origin(types[name]) is dict else f"{name}."
            yield from options_of(inner, prefix + named)


def section_in(annotation: Any) -> type | None:
    """Of a section itself, one that may be left out, or a table of them by name."""
    found = [
        kind
        for kind in (annotation, *get_args(annotation))
        if isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))
    ]
    return found[0] if found else None


def options_in(document: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Likewise, of those that a config file sets."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from options_in(value, prefix + ("*." if prefix == "tasks." else f"{name}."))
        else:
            yield prefix + name


def test_every_option_is_used_in_an_example() -> None:
    known = set(options_of(TrainConfig))
    assert {"name", "tasks.*.separator", "preprocess.text.drop_pos", "model.image_encoder.size"} <= known
    used = {name for path in CONFIGS for name in options_in(tomllib.loads(path.read_text("utf-8")))}
    assert not sorted(known - used)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_example_is_a_config(path: Path) -> None:
    """Its data may be missing; files that lie in the repository may not."""
    config = load_config(path)
    lexicon = config.lexicon
    kept = [Path(source) for source in lexicon.stop_words if not LANGUAGE.fullmatch(source)]
    kept += [lexicon.user_dictionary] if lexicon.user_dictionary else []
    assert all(file.is_file() for file in kept)
