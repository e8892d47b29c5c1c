"""A recording of minutes as windows of the length that a model hears at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from triad_serving.media.audio.spec import AudioInput, AudioSpec, sound_tokens
from triad_serving.media.windows import Window, spread

OVERLAP = 0.25  # of a window: half of it is context that a token at the edge of what counts still hears


def windows_of(sound: AudioInput, spec: AudioSpec) -> Sequence[Window]:
    """sound: all of it. Windows begin at whole tokens, so that theirs are those of the whole sound."""
    token = spec.hop * spec.frames_per_token
    tokens, longest = sound_tokens(len(sound.samples_T), spec), sound_tokens(spec.max_samples, spec)
    overlap = min(round(OVERLAP * longest), longest - 1)
    fits = len(sound.samples_T) <= spec.max_samples or longest == 1
    places = spread(tokens, longest=tokens if fits else longest, overlap=overlap)
    return [
        Window(
            item=dataclasses.replace(
                sound,
                samples_T=sound.samples_T[first * token :][: spec.max_samples],
                start_s=sound.start_s + first * spec.token_s,
                windows=len(places),
            ),
            first=first,
            kept=kept,
        )
        for first, kept in places
    ]
