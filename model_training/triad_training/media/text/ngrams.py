"""The n-grams of a training split that a linear model shall know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from triad_serving.media.text.lexicon import Lexicon
from triad_serving.media.text.ngrams import Ngrams, ngrams_of
from triad_serving.media.text.spec import TextSpec
from triad_training.media.stored import LIMITS

LEAST_TEXTS = 2  # that have an n-gram: what one text alone has tells nothing of others
MOST = 60_000  # of words and pairs, and as many runs of characters: those of most texts
PER_TOKEN = 16  # most that are read; English has some 25 runs a word, of which half are known


def is_word(entry: str) -> bool:
    """Or a pair of words; not a run of characters."""
    return entry.startswith("=")


def build_ngrams(texts: Iterable[str | None], spec: TextSpec, lexicon: Lexicon) -> Ngrams:
    """In the order of how many texts have them, then of where they came first: the same in every process."""
    counts: Counter[str] = Counter()
    for text in texts:
        if text:
            item = lexicon.encode(lexicon.words(text, spec, LIMITS), spec, text=text)
            counts.update(dict.fromkeys(place.entry for place in ngrams_of(text, item.spans)).keys())
    known = [entry for entry, count in counts.most_common() if count >= LEAST_TEXTS]
    words, runs = (_first(known, words=kind) for kind in (True, False))
    return Ngrams([*words, *runs])


def _first(entries: Sequence[str], *, words: bool) -> list[str]:
    return [entry for entry in entries if is_word(entry) is words][:MOST]
