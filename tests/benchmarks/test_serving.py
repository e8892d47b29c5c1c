from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import main


def test_a_bundle_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["serving", "--bundle", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "argument --bundle: Bundle" in capsys.readouterr().err
