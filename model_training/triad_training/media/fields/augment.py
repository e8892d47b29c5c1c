"""Records as they might have been: with fewer fields, or with categories that are not known."""

from __future__ import annotations

import dataclasses

import numpy as np

from triad_serving.media.fields.spec import MISSING_ID, UNKNOWN_ID, FieldsInput
from triad_training.media.fields.config import FieldsAugment


def augment_fields(item: FieldsInput, config: FieldsAugment, rng: np.random.Generator) -> FieldsInput:
    changed = drop_fields(item, config.drop, rng)
    unknown_G = (rng.random(len(item.categories_G)) < config.unknown) & (changed.categories_G != MISSING_ID)
    return dataclasses.replace(changed, categories_G=np.where(unknown_G, UNKNOWN_ID, changed.categories_G))


def drop_fields(item: FieldsInput, share: float, rng: np.random.Generator) -> FieldsInput:
    """Each is left out with this probability; at least one stays. A larger share hides the same and more."""
    numbers = len(item.numbers_F)
    draws_P = np.where(item.there, rng.random(len(item.there)), -1.0)
    kept_P = draws_P >= min(share, float(draws_P.max()))
    return dataclasses.replace(
        item,
        numbers_F=np.where(kept_P[:numbers], item.numbers_F, np.float32(np.nan)),
        categories_G=np.where(kept_P[numbers:], item.categories_G, MISSING_ID),
    )
