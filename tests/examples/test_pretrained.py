from __future__ import annotations

from tests.examples.conftest import EXAMPLES
from triad_training.config.reading import load_config


def test_every_medium_names_a_source_and_what_of_it_learns() -> None:
    """Only read: no hub is asked before a run."""
    model = load_config(EXAMPLES / "pretrained" / "config.toml").model
    encoders = (model.text_encoder, model.image_encoder, model.audio_encoder)
    assert [encoder.tune for encoder in encoders if encoder] == [2, "frozen", "all"]
