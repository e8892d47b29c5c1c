"""Looks at the models folder now and then, and says when it has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from triad_serving.contract.errors import BundleError
from triad_serving.inference.bundle import find_bundles
from triad_serving.settings import Settings

Seen: TypeAlias = frozenset[tuple[Path, int, int]]  # file, modified at (ns), bytes


@contextmanager
def watching(settings: Settings, changed: Callable[[], object]) -> Iterator[None]:
    """Calls `changed` from a thread after each change, until the end; where the setting is 0, never."""
    if not settings.watch_s:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(settings, changed, ended), name="triad-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(settings: Settings, changed: Callable[[], object], ended: threading.Event) -> None:
    """A folder that still changes, into which a bundle is being copied, is looked at again."""
    known = before = look(settings.models)
    while not ended.wait(settings.watch_s):
        now = look(settings.models)
        if now == before != known:
            known = now
            changed()
        before = now


def look(models: Path) -> Seen:
    """Every file of every bundle."""
    seen = set()
    try:
        for file in (file for folder in find_bundles(models) for file in folder.iterdir()):
            status = file.stat()
            seen.add((file, status.st_mtime_ns, status.st_size))
    except (BundleError, OSError):  # there is none, or a file went away meanwhile
        return frozenset()
    return frozenset(seen)
