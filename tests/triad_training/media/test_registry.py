"""The media are one list: the same as the service's, and nothing outside triad_training/media names one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import triad_training.media
from triad_serving.media import registry as serving
from triad_training.media.registry import MEDIA, by_name

MEDIA_FOLDER = Path(triad_training.media.__file__).parent
OTHERS = sorted(path for path in MEDIA_FOLDER.parent.rglob("*.py") if MEDIA_FOLDER not in path.parents)


def names_in(tree: ast.AST) -> Iterator[str]:
    """Constants that are a medium's name, and imports of a medium's folder."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in serving.NAMES:
            yield f"line {node.lineno}: {node.value!r}"
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            parts = module.split(".")
            if parts[1:2] == ["media"] and set(parts[2:3]) & set(serving.NAMES):
                yield f"line {node.lineno}: {module}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nothing_else_names_a_medium(path: Path) -> None:
    assert list(names_in(ast.parse(path.read_text("utf-8")))) == []


def test_a_name_would_be_found() -> None:
    program = 'from triad_serving.media.audio.spec import AudioSpec\nif medium == "image": ...\n'
    assert len(list(names_in(ast.parse(program)))) == 2


def test_training_knows_the_media_of_the_service_in_their_order() -> None:
    assert [medium.serving for medium in MEDIA] == list(serving.MEDIA)
    assert [by_name(name).serving.name for name in serving.NAMES] == list(serving.NAMES)


def test_no_two_forms_of_files_share_a_name_and_no_two_media_a_style() -> None:
    forms = [form for medium in MEDIA for form in medium.forms]
    assert len({form.name for form in forms}) == len(forms)
    assert all(form.medium == medium.serving.name for medium in MEDIA for form in medium.forms)
    assert len({medium.style.marker for medium in MEDIA}) == len(MEDIA)
    assert all(each.medium == medium.serving.name for medium in MEDIA for each in medium.corruptions)


def test_every_medium_has_a_view() -> None:
    assert all((MEDIA_FOLDER / medium.serving.name / "view.html.j2").is_file() for medium in MEDIA)
