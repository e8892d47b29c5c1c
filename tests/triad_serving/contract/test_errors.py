"""The error tree: what its docstring draws is what the classes are."""

from __future__ import annotations

import re

import pytest

from triad_serving.contract import errors
from triad_serving.contract.errors import ParameterError, TableError, TriadError

# Indentation in fours, a name, perhaps a status.
LINE = re.compile(r"^((?:[│ ]   )*)(?:[├└]── )?(\w+Error)\s+(\d{3})?", re.MULTILINE)


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """Parent and status of each error in the docstring's tree."""
    assert errors.__doc__ is not None
    tree: dict[str, tuple[str | None, int | None]] = {}
    above: list[str] = []
    for indent, name, status in LINE.findall(errors.__doc__):
        is_root = not above
        depth = 0 if is_root else len(indent) // 4 + 1
        above = [*above[:depth], name]
        tree[name] = (above[depth - 1] if depth else None, int(status) if status else None)
    return tree


def classes() -> dict[str, type[TriadError]]:
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: value for name, value in found.items() if issubclass(value, TriadError)}


def test_every_error_is_drawn_and_every_drawn_error_exists() -> None:
    assert len(drawn()) > 15
    assert drawn().keys() == classes().keys()


@pytest.mark.parametrize("name", classes())
def test_an_error_stands_where_it_is_drawn_and_answers_with_that_status(name: str) -> None:
    parent, status = drawn()[name]
    error = classes()[name]

    assert error.__bases__[0].__name__ == (parent or "Exception")
    while status is None:  # a setup error answers as its parent does
        assert parent is not None
        parent, status = drawn()[parent]
    assert error.status == status


@pytest.mark.parametrize("name", classes())
def test_an_error_has_a_title_of_its_own(name: str) -> None:
    titles = [error.title for error in classes().values()]

    assert titles.count(classes()[name].title) == 1
    assert not classes()[name].title.endswith(".")


def test_bad_input_is_never_the_servers_fault() -> None:
    for name, error in classes().items():
        assert (400 <= error.status < 500) == issubclass(error, errors.RequestError), name


def test_an_error_carries_what_the_answer_names() -> None:
    error = ParameterError("top_k is 0; at least 1.", field="top_k", limit=1, value=0)

    assert str(error) == error.detail == "top_k is 0; at least 1."
    assert (error.field, error.limit, error.value) == ("top_k", 1, 0)
    assert (TriadError("Oh.").field, TriadError("Oh.").limit, TriadError("Oh.").value) == (None, None, None)


def test_a_table_error_lists_all_problems_at_once() -> None:
    error = TableError(["line 2: no such file", "line 9: unknown label"])

    assert error.problems == ("line 2: no such file", "line 9: unknown label")
    assert str(error) == "line 2: no such file\nline 9: unknown label"
