"""Tasks: the questions that a model answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from triad_serving.contract.outputs import MediumName

TaskType = Literal["classification", "multilabel", "regression", "transcript"]
BLANK = 0  # place of "no symbol" among the outputs of a transcript: its symbols stand behind it
HEARD: MediumName = "audio"  # the medium that a transcript is of
DEFAULT_THRESHOLD = 0.5  # of a tag's probability, where none was fitted


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the symbols of a transcript are found. beam: prefixes that the search keeps; 1: the best path.

    words, ngrams: files of the bundle, "" for none: the words that there are, one a line, and a model of
    which symbols follow which. ngram_weight: exponent of its probabilities. symbol_bonus: added to the
    logarithm of a transcript's probability for each symbol. All of these need a beam.
    whole, each: slope and offset that make the probabilities of the whole and of each symbol true (Platt
    scaling): p becomes sigmoid(slope * logit(p) + offset).
    """

    beam: int = 1
    words: str = ""
    ngrams: str = ""
    ngram_weight: float = 0.0
    symbol_bonus: float = 0.0
    whole: tuple[float, float] = (1.0, 0.0)
    each: tuple[float, float] = (1.0, 0.0)

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.beam < 1:
            raise ValueError(f"beam is {self.beam}, less than 1")
        if self.beam == 1 and (self.words or self.ngrams):
            raise ValueError("words and ngrams need a beam of 2 or more")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question the model answers. labels: empty for a regression, the symbols of a transcript (words,
    syllables or characters); temperature divides the logits.

    prior: mean target on the training split, one value per output: a class's share, a tag's share, a mean.
    thresholds: of a multilabel, the probability above which each label holds; empty: DEFAULT_THRESHOLD.
    abstain_below: of a classification: an answer of lower probability is marked as abstained; 0: none.
    joiner: of a transcript: what stands between two symbols of its text.
    decoding: of a transcript; None: the best path.
    """

    name: str
    type: TaskType
    labels: tuple[str, ...] = ()
    prior: tuple[float, ...] = ()
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    abstain_below: float = 0.0
    joiner: str = " "
    decoding: Decoding | None = None

    def __post_init__(self) -> None:
        if self.thresholds and (self.type != "multilabel" or len(self.thresholds) != len(self.labels)):
            raise ValueError(f"{self.name} has {len(self.thresholds)} thresholds, {len(self.labels)} labels")
        if not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise ValueError(f"{self.name}: thresholds must be within 0 and 1")
        if not 0 <= self.abstain_below <= 1:
            raise ValueError(f"{self.name}: abstain_below must be within 0 and 1, not {self.abstain_below}")

    @property
    def outputs(self) -> int:
        """Numbers that the graph gives for each row; of a transcript for each moment of its sound."""
        match self.type:
            case "regression":
                return 1
            case "transcript":
                return 1 + len(self.labels)
            case "classification" | "multilabel":
                return len(self.labels)


def with_one_answer(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Those of which the graph says one thing of each row: all but transcripts."""
    return tuple(task for task in tasks if task.type != "transcript")
