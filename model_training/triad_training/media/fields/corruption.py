"""Records with fields left out."""

from __future__ import annotations

from triad_training.media.corruption import Corruption
from triad_training.media.fields.augment import drop_fields

CORRUPTIONS = (
    Corruption(
        kind="missing fields",
        medium="fields",
        unit="share of fields left out",
        levels=(None, 0.2, 0.4, 0.6, 0.8),
        cause="when {:.0%} of the fields are missing",
        apply=drop_fields,
    ),
)
