"""`pytest tests/hostile --hypothesis-profile=long`: a hundred times the examples."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("long", max_examples=10_000, deadline=None)
