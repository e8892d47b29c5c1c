"""What hostile bytes are thrown at: each decoder by its medium's name; and what the route may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from triad_serving.contract.errors import RequestError, TooLargeError
from triad_serving.http.schemas import Problem
from triad_serving.inference.answer import Prediction
from triad_serving.media.audio.decode import decode_audio, fit_audio
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.fields.medium import FIELDS
from triad_serving.media.fields.spec import CategoricalField, FieldsSpec, NumericField
from triad_serving.media.image.decode import read_image
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.medium import TEXT
from triad_serving.media.text.spec import TextSpec
from triad_serving.media.text.words import Vocabulary

LIMITS = MediaLimits()
TEXT_SPEC = TextSpec(max_tokens=8)
SOUND_SPECS = (AudioSpec(max_s=2.0), AudioSpec(max_s=0.5, trim_db=30.0))
FIELDS_SPEC = FieldsSpec(
    numeric=(NumericField(name="age", low=1, median=40, high=99),),
    categorical=(CategoricalField(name="sex", categories=("F", "M")),),
)
LEXICON = WordLexicon(vocabulary=Vocabulary(("seven", "七")))
SECRETS = ("Traceback", "site-packages", 'File "', "/home/", "/usr/", ".py")


def decode_image(data: bytes) -> None:
    for fit in ("stretch", "pad", "crop"):
        item = read_image(data, ImageSpec(height=8, width=6, fit=fit), LIMITS)
        assert item.pixels_HW3.shape == (8, 6, 3)
        assert min(item.width, item.height) >= 1


def decode_sound(data: bytes) -> None:
    for spec in SOUND_SPECS:
        item = fit_audio(decode_audio(data, spec, LIMITS), spec)
        assert spec.window <= len(item.samples_T) <= spec.max_samples
        assert np.isfinite([item.seconds, item.peak, item.start_s]).all()


def decode_text(data: bytes) -> None:
    if len(data) > TEXT.max_bytes(LIMITS):
        raise TooLargeError("The upload refuses it.", field="text")
    if data:
        item = TEXT.read(TEXT.parse(data), TEXT_SPEC, LEXICON, LIMITS)
        assert 1 <= len(item.ids_L) == len(item.spans) <= TEXT_SPEC.max_tokens


def decode_fields(data: bytes) -> None:
    if data and (raw := FIELDS.parse(data)) is not None:
        item = FIELDS.read(raw, FIELDS_SPEC, None, LIMITS)
        assert item.there.any()
        assert not np.isinf(item.numbers_F).any()
        list(FIELDS.warnings(item, FIELDS_SPEC))


DECODERS: Mapping[str, Callable[[bytes], None]] = {
    "image": decode_image,
    "audio": decode_sound,
    "text": decode_text,
    "fields": decode_fields,
}


def status_of(medium: str, data: bytes) -> int:
    """200, or that of the error. Raises whatever is no error of the request's."""
    try:
        DECODERS[medium](data)
    except RequestError as error:
        refusal = error
    else:
        return 200
    assert (refusal.field or "").startswith(medium), refusal
    assert len(refusal.detail) < 1000, refusal.detail[:1000]
    return refusal.status


def complaint_about(status: int, content_type: str, body: str) -> str:
    """What is wrong with an answer of /v1/predict; empty where nothing is. Raises ValidationError."""
    if status == 200:
        Prediction.model_validate_json(body)
        return ""
    if not 400 <= status < 500:
        return f"status {status}: {body[:300]}"
    problem = Problem.model_validate_json(body)
    if content_type != "application/problem+json" or problem.status != status:
        return f"no problem of its status: {content_type}, {body[:300]}"
    told = [secret for secret in SECRETS if secret in body]
    return f"it tells {told[0]}: {body[:300]}" if told else ""
