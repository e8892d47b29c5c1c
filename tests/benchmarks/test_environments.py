from __future__ import annotations

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from benchmarks.serving.environments import (
    CONSTRAINTS,
    PEERS,
    SHARED,
    InstallError,
    python_for,
    read_block,
    requirements,
)
from benchmarks.serving.servers import SERVERS

PEER = """\
# /// script
# requires-python = ">=3.11,<3.11.6"
# dependencies = ["fast-server==1.2", "numpy<2"]
# ///
\"\"\"A peer.\"\"\"
"""
CONSTRAINED = "# a comment\njieba==0.42.1\nnumpy==2.4.6\nscipy==1.17.1\n"


def test_a_peer_states_its_packages_and_its_python() -> None:
    stated = read_block(PEER)
    assert stated.dependencies == ("fast-server==1.2", "numpy<2")
    assert stated.python.contains("3.11.2")
    assert not stated.python.contains("3.11.7")


def test_a_peer_that_states_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="states no dependencies"):
        read_block('"""A module."""\n')


def test_shared_packages_are_pinned_unless_the_peer_has_its_own_wish() -> None:
    shared = read_block('# /// script\n# dependencies = ["jieba", "numpy"]\n# ///\n')
    assert requirements(read_block(PEER), shared, CONSTRAINED) == [
        "fast-server==1.2",
        "jieba==0.42.1",
        "numpy<2",
    ]


def test_every_peer_can_be_installed_and_pins_what_is_measured() -> None:
    files = {server.peer for server in SERVERS.values() if server.peer}
    assert files == {path.stem for path in PEERS.glob("*.py")} - {"__init__"}
    shared = read_block(SHARED.read_text(encoding="utf-8"))
    for name in files:
        stated = read_block((PEERS / f"{name}.py").read_text(encoding="utf-8"))
        wanted = requirements(stated, shared, CONSTRAINTS.read_text(encoding="utf-8"))
        assert {*shared.dependencies} <= {Requirement(line).name for line in wanted}
        assert str(Requirement(stated.dependencies[0]).specifier).startswith("==")


def test_a_python_that_nobody_has_is_told_so() -> None:
    with pytest.raises(InstallError, match=r"needs Python <3\.0"):
        python_for(SpecifierSet("<3.0"))
