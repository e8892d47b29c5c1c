"""An index of three rows, made by the tiny model: its vectors are [cos x, sin x].

"seven" is x = 0.2, "hello" 0.5; the grey picture 0.8, the white one 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import png_bytes, wav_bytes, write_tiny_bundle
from triad_serving.engine.engine import Engine
from triad_serving.scoring.indexing import Indexing, Recipe

TABLE = """text,image_file_name,audio_file_name,shop,age
seven,,,Lyon,1
hello,grey.png,a.wav,Paris,2
,white.png,,Lyon,3
"""
ALIGNED = {"optim": {"contrast": 1.0}}


def make_index(root: Path, *, aligned: bool = True, name: str = "i", **recipe: Any) -> tuple[Path, Path]:
    """The models and the indexes."""
    models = root / "models"
    bundle = write_tiny_bundle(models, training=ALIGNED if aligned else {})
    (root / "grey.png").write_bytes(png_bytes(value=51))  # x = 0.8
    (root / "white.png").write_bytes(png_bytes())
    (root / "a.wav").write_bytes(wav_bytes(0.1))
    (root / "table.csv").write_text(TABLE)
    with Engine.open(bundle) as engine:
        indexing = Indexing(engine, root / "table.csv", root / "indexes" / name, Recipe(**recipe))
        assert len(list(indexing.run(1))) == 3
        assert indexing.finish(1, on_vectors=lambda done, total: None) == {}
    return models, root / "indexes"
