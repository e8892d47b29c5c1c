"""One example: the bytes of its media to the graph's inputs, for the service and the trainer alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from triad_serving.media.audio.decode import DecodedAudio, decode_audio, fit_audio
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs, PreprocessSpec, RawInputs
from triad_serving.media.image.decode import DecodedImage, decode_image, fit_image, read_image
from triad_serving.media.image.spec import ImageInput
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.lexicon import Lexicon
from triad_serving.media.text.spec import TextInput
from triad_serving.media.text.words import Word


class Augment(Protocol):
    """What training does between the two halves of preprocessing."""

    def words(self, words: Sequence[Word]) -> Sequence[Word]: ...

    def image(self, decoded: DecodedImage) -> DecodedImage: ...

    def audio(self, decoded: DecodedAudio) -> DecodedAudio: ...


def preprocess(
    raw: RawInputs,
    spec: PreprocessSpec,
    lexicon: Lexicon | None,
    limits: MediaLimits,
    *,
    augment: Augment | None = None,
) -> ModelInputs:
    """Decodes every medium completely, and fits it to the spec; a medium that the spec lacks is left out.

    Raises TooLargeError, UnsupportedFormatError, DecodeError.
    """
    text: TextInput | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None
    if raw.text is not None and spec.text is not None and lexicon is not None:
        words: Sequence[Word] = lexicon.words(raw.text, spec.text, limits)
        words = augment.words(words) if augment else words
        text = lexicon.encode(words, spec.text, characters=len(raw.text))
    if raw.image is not None and spec.image is not None:
        if augment:
            picture = decode_image(raw.image, spec.image, limits)
            image = fit_image(augment.image(picture), spec.image)
        else:
            image = read_image(raw.image, spec.image, limits)
    if raw.audio is not None and spec.audio is not None:
        sound = decode_audio(raw.audio, spec.audio, limits)
        audio = fit_audio(augment.audio(sound) if augment else sound, spec.audio)
    return ModelInputs(text=text, image=image, audio=audio)
