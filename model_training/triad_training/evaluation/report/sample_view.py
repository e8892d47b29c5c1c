"""One example's media as a page can show them, with the attention of one task drawn on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.schema import DECIMALS
from triad_serving.media.example import ModelInputs, PreprocessSpec, RawInputs
from triad_training.media.registry import present


@dataclass(frozen=True, kw_only=True)
class SampleView:
    """shares: attention on each present medium. views: of each, for `show` of its view.html.j2."""

    shares: dict[MediumName, float]
    views: dict[MediumName, object]


def view_sample(
    raw: RawInputs, inputs: ModelInputs, weights: Mapping[MediumName, F32], spec: PreprocessSpec
) -> SampleView:
    """weights: one task's attention, by medium, as the session gives it."""
    views: dict[MediumName, object] = {}
    for medium, item in present(inputs):
        name = medium.serving.name
        own, of_medium = spec.of(name), weights[name]
        section = medium.serving.describe_attention(
            item, own, of_medium, of_medium
        )  # its rollout is not shown
        views[name] = medium.view(getattr(raw, name), item, section, own)
    shares = {name: round(float(weights[name].sum()), DECIMALS) for name in views}
    return SampleView(shares=shares, views=views)
