"""A decoder under atheris, which looks for inputs that reach new lines of Pillow's Python and of ours.

pip install atheris
python -m benchmarks.guided image -max_total_time=300    (or audio, text, fields; then options of libFuzzer)
"""

from __future__ import annotations

import logging.config
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL", "triad_serving.media", "python_multipart"]):
    from tests.hostile.targets import status_of

from benchmarks.fuzz import Seeds
from triad_serving.operation.server import log_config


def main() -> None:
    _, medium, *options = sys.argv
    warnings.filterwarnings("ignore", module="PIL")  # C's stderr is libFuzzer's here, too
    logging.config.dictConfig(log_config("error"))
    with tempfile.TemporaryDirectory() as folder:
        for n, data in enumerate(Seeds().by_medium[medium]):
            (Path(folder) / str(n)).write_bytes(data)

        def throw(data: bytes) -> None:
            status_of(medium, data)

        atheris.Setup([sys.argv[0], folder, *options], throw)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
