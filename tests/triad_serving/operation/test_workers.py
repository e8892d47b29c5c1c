"""What the supervisor decides by itself; its processes are tested by the command line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.conftest import write_tiny_bundle
from triad_serving.contract.errors import BundleError, NotFoundError
from triad_serving.operation.workers import _Supervisor
from triad_serving.settings import Settings


def test_workers_that_start_anew_are_told_the_default_version_by_their_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAD_MODELS", str(tmp_path))
    monkeypatch.setenv("TRIAD_DEFAULT_VERSIONS", '{"other": "1"}')
    for name, version in (("tiny", "1"), ("tiny", "2"), ("other", "1")):
        write_tiny_bundle(tmp_path, name=name, version=version)
    supervisor = cast(_Supervisor, SimpleNamespace(_engine=None, _settings=Settings()))
    _Supervisor._reload(supervisor, "tiny", "1")
    assert Settings().default_versions == {"other": "1", "tiny": "1"}
    _Supervisor._reload(supervisor, "tiny", None)
    assert Settings().default_versions == {"other": "1"}
    with pytest.raises(NotFoundError, match="no tiny 9; there are: other 1, tiny 1, tiny 2"):
        _Supervisor._reload(supervisor, "tiny", "9")
    (tmp_path / "tiny" / "2" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="was changed"):
        _Supervisor._reload(supervisor, "tiny", None)
