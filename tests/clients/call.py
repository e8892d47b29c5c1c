"""Asks a service through the client that openapi-python-client made of its document."""

# ruff: noqa: T201
from __future__ import annotations

import io
import sys
from pathlib import Path

from triad_generated import Client
from triad_generated.api.models import list_models
from triad_generated.api.predict import predict, predict_batch
from triad_generated.models import (
    BatchAnswer,
    Classification,
    ModelList,
    PredictAttention,
    PredictBatchBatchForm,
    Prediction,
    PredictPredictForm,
    Problem,
)
from triad_generated.types import UNSET, File


def main(url: str, image: Path) -> None:
    client = Client(base_url=url)
    served = list_models.sync(client=client)
    assert isinstance(served, ModelList)
    form = PredictPredictForm(text="seven", image=_file(image.read_bytes()))
    answer = predict.sync(client=client, body=form, top_k=1, attention=PredictAttention.FULL)
    assert isinstance(answer, Prediction), answer
    kind = answer.predictions["kind"]
    assert isinstance(kind, Classification)
    assert kind.attention is not UNSET
    print(served.default, kind.label, len(kind.top))
    refused = predict.sync(client=client, body=PredictPredictForm(image=_file(b"noise")))
    assert isinstance(refused, Problem)
    print(refused.status, refused.field)
    rows = PredictBatchBatchForm(rows='{"text": "seven"}\n{"image": "a"}\n{"image": "b"}\n')
    rows["a"] = _file(image.read_bytes())
    many = predict_batch.sync(client=client, body=rows)
    assert isinstance(many, BatchAnswer), many
    for row in many.answers:
        print(row.row, row.problem.status if isinstance(row.problem, Problem) else 200)


def _file(content: bytes) -> File:
    return File(payload=io.BytesIO(content), file_name="image.png", mime_type="image/png")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
