"""Asks a running service about image files, several at a time: what each shows, or why there is no answer.

python examples/embed/ask.py URL FILE...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from triad_serving import TriadClient, TriadError


def main(url: str, files: Sequence[str]) -> int:
    """Exit code: 0 where every file was answered."""
    failed = 0
    with TriadClient(url) as client:
        answers = client.predict_many(({"image": file} for file in files), attention="none")
        for file, answer in zip(files, answers, strict=True):
            if isinstance(answer, TriadError):
                failed += 1
                print(f"{file}: {answer.status} {answer.detail}", file=sys.stderr)
            else:
                digit = answer.predictions["digit"]
                print(f"{file}: {digit.label} ({digit.probability:.1%})")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
