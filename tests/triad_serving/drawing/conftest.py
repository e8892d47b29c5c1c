"""Answers of the tiny model (see tests/conftest.py) and what is drawn of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import SPEC, wav_bytes
from triad_serving.contract.language import Language
from triad_serving.drawing.compose import compose
from triad_serving.drawing.scene import Scene
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Prediction
from triad_serving.inference.options import ExplainOptions
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings

EVIL = "seven <script>alert('七')</script> & \"three\"\x07"


def spotted_png(row: int, column: int, *, scale: int = 1) -> bytes:
    """A black image of 4 x 4 pixels, each `scale` wide, whose cell (of 2 x 2 cells) is white."""
    pixels_HW = np.zeros((4, 4), dtype=np.uint8)
    pixels_HW[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 255
    file = io.BytesIO()
    Image.fromarray(np.kron(pixels_HW, np.ones((scale, scale), dtype=np.uint8))).save(file, "PNG")
    return file.getvalue()


WHOLE = RawInputs(text=EVIL, image=spotted_png(1, 0), audio=wav_bytes(0.1))


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine.open(tiny_bundle, Settings(models=tiny_bundle)) as engine:
        yield engine


Draw = Callable[..., Scene]


@pytest.fixture
def draw(engine: Engine) -> Draw:
    """The scene of an answer to some media; options as in the query."""

    def draw(raw: RawInputs = WHOLE, *, language: Language = "en", **options: object) -> Scene:
        prediction = engine.predict_sync(raw, ExplainOptions.model_validate(options))
        return scene_of(prediction, raw, language)

    return draw


def scene_of(prediction: Prediction, raw: RawInputs, language: Language = "en") -> Scene:
    return compose(prediction, raw, SPEC, Settings().media_limits, language)
