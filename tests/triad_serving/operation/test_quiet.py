"""What libraries say about broken media, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TWICE = """
import contextlib, sys
from tests.hostile.corpus import hostile_images, hostile_sounds, image_bytes
from triad_serving.contract.errors import RequestError
from triad_serving.media.audio.decode import decode_audio
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.image.decode import read_image
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.limits import MediaLimits
from triad_serving.operation.quiet import quiet_libraries

sound = next(case.data for case in hostile_sounds() if case.name == "MP3 with junk between its frames")
tags = next(case.data for case in hostile_images() if case.name == "TIFF of 200 tags that share 1 MB")
lzw = image_bytes("TIFF", compression="tiff_lzw")

def read_broken():
    decode_audio(sound, AudioSpec(), MediaLimits())
    for broken in (tags, lzw[:9] + b"\\xff" * 9 + lzw[18:]):
        with contextlib.suppress(RequestError):
            read_image(broken, ImageSpec(), MediaLimits())

read_broken()
sys.stderr.write("QUIET\\n")
quiet_libraries()
read_broken()
sys.stderr.write("STILL\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere C's stderr stays as it is")
def test_libraries_are_loud_about_broken_files_until_they_are_quieted() -> None:
    folders = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
    said = subprocess.run(
        [sys.executable, "-c", TWICE],
        env={**os.environ, "PYTHONPATH": folders},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    ).stderr

    before, _, after = said.partition("QUIET\n")
    assert "Illegal Audio-MPEG-Header" in before  # libmpg123
    assert "UserWarning" in before  # Pillow
    assert "LZWDecode" in before  # libtiff
    assert after == "STILL\n"
