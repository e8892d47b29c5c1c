"""The media of one example, read and encoded in two threads: for a request that has the machine alone."""

from __future__ import annotations

import functools
import time
from concurrent.futures import Executor
from typing import Any, NamedTuple

from triad_serving.contract.arrays import Feed
from triad_serving.contract.outputs import MediumName
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.registry import by_name

NEWEST = 0.1  # its weight in a moving mean


class _Read(NamedTuple):
    item: Any
    encoded: Feed | None
    seconds: float


class SideBySide:
    """Of one model. It learns which of its media takes longest: that one stays here, the others go aside."""

    def __init__(self, bundle: Bundle, session: Session) -> None:
        self._bundle = bundle
        self._session = session
        self._seconds: dict[MediumName, float] = {}

    def prepare(self, raw: RawInputs, limits: MediaLimits, aside: Executor, *, encode: bool) -> ModelInputs:
        """As `preprocess`, of two or more media; encode: run the encoders, too. Raises what it raises."""
        media = sorted(
            (medium for medium in raw.media if medium in self._bundle.spec.media),
            key=lambda medium: self._seconds.get(medium, 0.0),
        )
        read = functools.partial(self._read, raw, limits, encode and self._session.encodes)
        *others, longest = media
        waiting = aside.submit(lambda: {medium: read(medium) for medium in others})
        found = {longest: read(longest)}
        found |= {medium: read(medium) for medium in others} if waiting.cancel() else waiting.result()
        for medium, each in found.items():
            before_s = self._seconds.get(medium, each.seconds)
            self._seconds[medium] = before_s + NEWEST * (each.seconds - before_s)
        items = {medium: each.item for medium, each in found.items()}
        encoded = {medium: each.encoded for medium, each in found.items() if each.encoded is not None}
        return ModelInputs(**items, encoded=encoded)

    def _read(self, raw: RawInputs, limits: MediaLimits, encode: bool, medium: MediumName) -> _Read:
        started_s = time.perf_counter()
        spec, asset = self._bundle.spec.of(medium), self._bundle.assets.get(medium)
        item = by_name(medium).read(getattr(raw, medium), spec, asset, limits)
        encoded = self._session.encode(medium, item) if encode else None
        return _Read(item, encoded, time.perf_counter() - started_s)
