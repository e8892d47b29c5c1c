"""Texts to ids, again and again: their words are cut once and kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from triad_serving.media.text.lexicon import Lexicon
from triad_serving.media.text.medium import Cut
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.words import Word
from triad_training.media.stored import LIMITS

MAX_KEPT_CHARACTERS = 2_000_000  # of the words kept in memory, which take some 300 bytes for each


@dataclass(frozen=True, kw_only=True, eq=False)
class TextLoader:
    """kept: words by text."""

    spec: TextSpec
    lexicon: Lexicon
    kept: Mapping[str, Sequence[Word]]

    def __call__(self, text: str, change: Callable[[Cut], Cut] | None) -> TextInput:
        cut = Cut(text, self.kept.get(text) or self.lexicon.words(text, self.spec, LIMITS))
        if change is not None:
            cut = change(cut)
        return self.lexicon.encode(cut.words, self.spec, text=text)


def open_loader(sources: Iterable[str], spec: TextSpec, lexicon: Lexicon) -> TextLoader:
    """Cuts every text now, before workers inherit them; none where that would fill memory."""
    texts = set(sources)
    few = sum(map(len, texts)) <= MAX_KEPT_CHARACTERS
    kept = {text: lexicon.words(text, spec, LIMITS) for text in texts} if few else {}
    return TextLoader(spec=spec, lexicon=lexicon, kept=kept)
