from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.media import make_examples
from benchmarks.pipeline import Pipeline
from benchmarks.straightforward import PLAIN, Straightforward, difference, markdown

DIGITS = Path(__file__).parents[2] / "service/triad_serving/models/digits/1"


def test_both_pipelines_read_the_same_and_answer_alike() -> None:
    ours = Pipeline(DIGITS)
    plain = Straightforward(ours.bundle, ours.bundle.model_path)
    for raw in make_examples()[:3]:
        one, other = ours.prepare(raw), plain.prepare(raw)
        assert one.text is not None
        assert other.text is not None
        assert one.audio is not None
        assert other.audio is not None
        assert one.text.ids_L.tolist() == other.text.ids_L.tolist()
        assert one.text.spans == other.text.spans
        assert np.abs(one.audio.samples_T - other.audio.samples_T).max() <= 1
        assert difference(ours, plain, raw) < 0.01


def test_times_are_per_example_and_beside_their_like() -> None:
    times_us = {
        f"{PLAIN}text": 80.0,
        "text": 40.0,
        f"{PLAIN}all": 900.0,
        "all": 600.0,
        "all, in one batch": 300.0,
    }
    lines = markdown(times_us, 10).splitlines()
    assert lines[2:] == [
        "| text | 8 | 4 | 2.00 |",
        "| all | 90 | 60 | 1.50 |",
        "| all, in one batch | 90 | 30 | 3.00 |",
    ]
