"""A transcript task's decoder: logits to symbols, each with its moment and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.errors import BundleError, UnanswerableError
from triad_serving.contract.tasks import Decoding, Task
from triad_serving.inference.transcribe.beam import Knowledge, beam_search
from triad_serving.inference.transcribe.ctc import (
    F64,
    align,
    best_path,
    log_probability,
    posteriors,
    symbol_probabilities,
)
from triad_serving.inference.transcribe.ngrams import NgramModel
from triad_serving.inference.transcribe.words import WordList

SEPARATOR = " "  # between two words, where it is a symbol
MOST_CERTAIN = 30.0  # of a logit: a probability within 1e-13 of 0 or 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """What was said. symbols_U: outputs of the graph. spans_U2: first sound token, and one past the last.

    probability, probabilities_U: of the whole and of each symbol, calibrated; see Decoder.decode.
    """

    symbols_U: Sequence[int]
    spans_U2: I64
    probability: float
    probabilities_U: F64


class Decoder:
    """Of one task. `decode` may be called from several threads at once."""

    def __init__(self, task: Task, *, words: Sequence[str] = (), ngrams: NgramModel | None = None) -> None:
        """words: as they stand in transcripts; empty: any symbols in any order.

        Raises ValueError where a word is not made of the task's symbols.
        """
        self.task = task
        self._decoding = task.decoding or Decoding()
        self._known = Knowledge(
            outputs=task.outputs,
            words=_word_list(words, task) if words else None,
            ngrams=ngrams,
            ngram_weight=self._decoding.ngram_weight,
            symbol_bonus=self._decoding.symbol_bonus,
        )

    @classmethod
    def open(cls, task: Task, folder: Path) -> Decoder:
        """folder: of the bundle. Raises BundleError."""
        decoding = task.decoding or Decoding()
        try:
            words = (folder / decoding.words).read_text("utf-8").splitlines() if decoding.words else ()
            model = NgramModel.from_json((folder / decoding.ngrams).read_bytes()) if decoding.ngrams else None
            if model is not None and model.outputs != task.outputs:
                raise ValueError(f"its {model.outputs} outputs are not the task's {task.outputs}")
            return cls(task, words=[word for word in words if word.strip()], ngrams=model)
        except (OSError, ValueError) as error:
            raise BundleError(f"Bundle {folder}: {task.name} cannot be decoded: {error}.") from error

    def decode(self, logits_SK: F32) -> Heard:
        """The likeliest symbols. Raises UnanswerableError where a logit is not a finite number.

        The whole's probability is that of all paths that say exactly these symbols (log_probability), each
        symbol's that of it in its stretch of the sound (symbol_probabilities), both after the task's
        temperature, then scaled as Decoding says.
        """
        posterior_SK = self._posteriors(logits_SK)
        if self._decoding.beam == 1:
            symbols_U, spans_U2 = best_path(posterior_SK)
        else:
            found = beam_search(posterior_SK, self._known, beam=self._decoding.beam)
            symbols_U = np.array(found, dtype=np.int64)
            spans_U2 = align(posterior_SK, symbols_U)
        log_whole = log_probability(posterior_SK, symbols_U)
        each_U = symbol_probabilities(posterior_SK, symbols_U, spans_U2)
        return Heard(
            symbols_U=symbols_U.tolist(),
            spans_U2=spans_U2,
            probability=float(_scaled(np.exp([log_whole]), self._decoding.whole)[0]),
            probabilities_U=_scaled(each_U, self._decoding.each),
        )

    def probability(self, logits_SK: F32, symbols_U: Sequence[int]) -> float:
        """That exactly these were said, scaled as in `decode`. Raises UnanswerableError likewise."""
        log_whole = log_probability(self._posteriors(logits_SK), symbols_U)
        return float(_scaled(np.exp([log_whole]), self._decoding.whole)[0])

    @property
    def searches(self) -> bool:
        """Whether `decode` takes milliseconds."""
        return self._decoding.beam > 1

    def _posteriors(self, logits_SK: F32) -> F64:
        if not np.isfinite(logits_SK).all():
            raise UnanswerableError(f"The model has no finite answer for {self.task.name} to this input.")
        return posteriors(logits_SK, self.task.temperature)


def symbols_of(text: str, task: Task) -> list[int]:
    """Outputs of a text's symbols. Without a joiner the longest symbol that fits is the next.

    Raises ValueError where a symbol is none of the task's.
    """
    places = {label: k for k, label in enumerate(task.labels, start=1)}
    found = []
    for piece in text.split(task.joiner) if task.joiner else _pieces(text, task):
        if piece not in places:
            raise ValueError(f"{piece!r} of {text!r} is no symbol of {task.name}")
        found.append(places[piece])
    return found


def text_of(symbols_U: Sequence[int], task: Task) -> str:
    return task.joiner.join(task.labels[k - 1] for k in symbols_U)


def _pieces(text: str, task: Task) -> Iterator[str]:
    longest = max(map(len, task.labels))
    at = 0
    while at < len(text):
        lengths = range(longest, 1, -1)
        length = next((each for each in lengths if text[at : at + each] in task.labels), 1)
        yield text[at : at + length]
        at += length


def _word_list(words: Sequence[str], task: Task) -> WordList:
    separator = None
    if not task.joiner and SEPARATOR in task.labels:
        separator = 1 + task.labels.index(SEPARATOR)
    return WordList([symbols_of(word, task) for word in words], outputs=task.outputs, separator=separator)


def _scaled(probabilities: F64, scaling: tuple[float, float]) -> F64:
    """Source: J. Platt, Probabilistic outputs for support vector machines, 1999."""
    slope, offset = scaling
    if (slope, offset) == (1.0, 0.0):
        return np.minimum(probabilities, 1.0)
    least = math.exp(-MOST_CERTAIN)
    clipped = probabilities.clip(least, 1 - least)
    scaled: F64 = 1 / (1 + np.exp(-(slope * np.log(clipped / (1 - clipped)) + offset)))
    return scaled
