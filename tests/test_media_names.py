"""A medium is one object: outside the media's folders no code names one, so that another changes little."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_serving.media.registry import NAMES
from triad_training.media.registry import MEDIA

ROOT = Path(__file__).parent.parent
PACKAGES = (ROOT / "service" / "triad_serving", ROOT / "model_training" / "triad_training")
OUTSIDE = [
    path
    for package in PACKAGES
    for path in sorted(package.rglob("*.py"))
    if path.relative_to(package).parts[0] != "media"
]
# What people write: the fields of the HTTP schema with their examples, the options.
MAY_NAME = {
    "triad_serving/inference/answer.py",
    "triad_serving/http/schemas.py",
    "triad_serving/http/openapi.py",
    "triad_serving/http/embedding.py",
    "triad_serving/http/search/schemas.py",
    "triad_serving/http/search/openapi.py",
    "triad_serving/inference/embedding.py",
    "triad_serving/cli.py",
    "triad_serving/client/media.py",
    "triad_serving/contract/log_format.py",  # lines of text
    "triad_serving/contract/tasks.py",  # what a transcript is of
    "triad_serving/http/v2/outputs.py",  # names of a protocol's tensors
}
# Of other libraries, and of a transcript.
NOT_A_MEDIUM = {
    "dataclasses.fields",
    "run.text",
    "canvas.text",
    "axes.text",
    "answer.text",
    "_as(Transcript, answer).text",
}


OF_A_MEDIUM = re.compile(rf"\.media\.({'|'.join(NAMES)})\.")


def short(path: Path) -> str:
    return "/".join(path.parts[len(ROOT.parts) + 1 :])


def mentions(source: str) -> Iterator[str]:
    """Each place that names a medium: as a string, as an attribute, by importing from its folder."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in NAMES:
            yield f"line {node.lineno}: {node.value!r}"
        elif isinstance(node, ast.Attribute) and node.attr in NAMES and ast.unparse(node) not in NOT_A_MEDIUM:
            yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and any(
            f".media.{name}." in f"{node.module}." for name in NAMES
        ):
            yield f"line {node.lineno}: from {node.module}"


@pytest.mark.parametrize("path", OUTSIDE, ids=short)
def test_no_code_outside_the_media_names_one(path: Path) -> None:
    if short(path) not in MAY_NAME:
        assert list(mentions(path.read_text(encoding="utf-8"))) == []


def test_every_file_that_may_name_one_does() -> None:
    for name in MAY_NAME:
        [path] = [path for path in OUTSIDE if short(path) == name]
        assert list(mentions(path.read_text(encoding="utf-8")))


def test_both_halves_know_the_same_media_each_in_a_folder_of_its_name() -> None:
    assert tuple(medium.serving.name for medium in MEDIA) == NAMES
    for package in PACKAGES:
        folders = {path.parent.name for path in (package / "media").glob("*/medium.py")}
        assert folders == set(NAMES)


def test_the_rule_can_fail() -> None:
    guilty = 'from triad_serving.media.text.spec import TextSpec\nif medium == "audio":\n    spec.image\n'
    assert len(list(mentions(guilty))) == 3
