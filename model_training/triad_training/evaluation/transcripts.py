"""How good transcripts are: error rates of symbols, words and characters, and how honest their probabilities.

Shape letters: N rows, S sound tokens, K outputs of a task, U symbols that were heard.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from rapidfuzz.distance import Levenshtein
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logit
from torch.nn import functional as F

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.outputs import ModelOutputs
from triad_serving.contract.tasks import BLANK, Decoding, Task
from triad_serving.explanation.shapley import F64
from triad_serving.inference.transcribe.ctc import best_path, posteriors
from triad_serving.inference.transcribe.decoder import Decoder, Heard
from triad_training.data.labels import symbols, tokens_needed

Score = Literal["symbol_accuracy", "wer", "cer"]
Decoders: TypeAlias = Mapping[str, Decoder]
SpokenRows: TypeAlias = npt.NDArray[Any]  # [N], of Spoken; None where there is no sound
UNKNOWN = "\ufffd"  # stands in a text for a symbol that the model does not know
SURE = 1e-9  # of a probability: as near to 0 and 1 as it gets before its logarithm is taken
TIE = 1e-3  # what a likelihood counts beside the score of an epoch
ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Spoken:
    """One row's transcript: what the graph said of each moment, and what was made of it."""

    logits_SK: F32
    heard: Heard


def open_decoders(tasks: Sequence[Task], folder: Path) -> dict[str, Decoder]:
    """Of all transcripts, by task. folder: where their files lie. Raises BundleError where they do not."""
    return {task.name: Decoder.open(task, folder) for task in tasks if task.type == "transcript"}


def stack_logits(task: Task, outputs: Sequence[ModelOutputs], decoders: Decoders) -> npt.NDArray[Any]:
    """Of one row after another, [N, K]; of a transcript [N], decoded."""
    rows = [row.logits_K[task.name] for row in outputs]
    if task.type != "transcript":
        return np.stack(rows)
    return transcribe(rows, decoders[task.name])


def transcribe(rows: Sequence[F32], decoder: Decoder) -> SpokenRows:
    """rows: logits of each, [S, K]; no moment where it has no sound."""
    spoken_N = np.empty(len(rows), dtype=object)
    for n, logits_SK in enumerate(rows):
        if len(logits_SK):
            spoken_N[n] = Spoken(logits_SK=logits_SK, heard=decoder.decode(logits_SK))
    return spoken_N


def as_heard(rows: Sequence[F32]) -> SpokenRows:
    """What is likeliest at each moment, as `transcribe` with a plain decoder; not how sure that is."""
    spoken_N = np.empty(len(rows), dtype=object)
    for n, logits_SK in enumerate(rows):
        if len(logits_SK):
            symbols_U, spans_U2 = best_path(posteriors(logits_SK))
            heard = Heard(
                symbols_U=symbols_U.tolist(),
                spans_U2=spans_U2,
                probability=math.nan,
                probabilities_U=np.full(len(symbols_U), math.nan),
            )
            spoken_N[n] = Spoken(logits_SK=logits_SK, heard=heard)
    return spoken_N


def transcribe_again(spoken_N: SpokenRows, decoder: Decoder) -> SpokenRows:
    """The same rows, decoded otherwise."""
    nothing_SK = np.zeros((0, decoder.task.outputs), dtype=np.float32)
    return transcribe([nothing_SK if s is None else s.logits_SK for s in spoken_N], decoder)


def spoken_rows(spoken_N: SpokenRows, targets_NL: F32) -> I64:
    """Rows that have both a sound and a label."""
    has_N = np.array([spoken is not None for spoken in spoken_N], dtype=bool)
    return np.flatnonzero(has_N & ~np.isnan(targets_NL).any(axis=1))


def score_transcripts(task: Task, spoken_N: SpokenRows, targets_NL: F32) -> dict[str, float]:
    """Of rows that have a sound and a label.

    symbol_accuracy: 1 less the edits (symbols put in, left out, taken for others) per true symbol, at least
    0. wer, cer: edits per true word and per true character of the texts; above 1 where more is heard than was
    said. exact: share of rows without an edit.
    """
    found: dict[str, float] = {}
    for score in scores_of(task):
        edits, true = count_edits(task, spoken_N, targets_NL, score).sum(axis=0)
        found[score] = rate(score, edits, true)
    return found | {"exact": float(right_rows(spoken_N, targets_NL).mean())}


def scores_of(task: Task) -> tuple[Score, ...]:
    """Words are counted where blanks stand between them."""
    return (
        ("symbol_accuracy", "wer", "cer")
        if " " in (task.joiner, *task.labels)
        else ("symbol_accuracy", "cer")
    )


def rate(score: Score, edits: float, true: float) -> float:
    """Of the summed edits and true symbols, words or characters."""
    share = edits / max(true, 1)
    return max(0.0, 1 - share) if score == "symbol_accuracy" else share


def count_edits(task: Task, spoken_N: SpokenRows, targets_NL: F32, score: Score) -> F64:
    """Of each row, the least edits from what was said to what was heard, and how much was said: [N, 2]."""
    counts = []
    for spoken, target_L in zip(spoken_N, targets_NL, strict=True):
        said, heard = symbols(target_L).tolist(), list(spoken.heard.symbols_U)
        true, answer = (_pieces(task, each, score) for each in (said, heard))
        counts.append((Levenshtein.distance(true, answer), len(true)))
    return np.array(counts, dtype=np.float64).reshape(-1, 2)


def right_rows(spoken_N: SpokenRows, targets_NL: F32) -> npt.NDArray[np.bool_]:
    """Whether all of each row was heard as it was said, [N]."""
    return np.array(
        [
            list(spoken.heard.symbols_U) == symbols(target_L).tolist()
            for spoken, target_L in zip(spoken_N, targets_NL, strict=True)
        ],
        dtype=bool,
    )


def right_symbols(spoken: Spoken, target_L: F32) -> npt.NDArray[np.bool_]:
    """Which of the symbols that were heard were said there, [U]."""
    said, heard = symbols(target_L).tolist(), list(spoken.heard.symbols_U)
    right_U = np.zeros(len(heard), dtype=bool)
    for block in Levenshtein.editops(said, heard).as_matching_blocks():
        right_U[block.b : block.b + block.size] = True
    return right_U


@dataclass(frozen=True, kw_only=True)
class Edits:
    """How often which symbol was taken for which: true and heard, "" for none of either. said: how often each
    was said, heard: was heard, right: was heard where it was said."""

    taken: Counter[tuple[str, str]]
    said: Counter[str]
    heard: Counter[str]
    right: Counter[str]


def find_edits(task: Task, spoken_N: SpokenRows, targets_NL: F32) -> Edits:
    names = ("", *task.labels, UNKNOWN)
    edits = Edits(taken=Counter(), said=Counter(), heard=Counter(), right=Counter())
    for spoken, target_L in zip(spoken_N, targets_NL, strict=True):
        said, heard = symbols(target_L).tolist(), list(spoken.heard.symbols_U)
        edits.said.update(names[k] for k in said)
        edits.heard.update(names[k] for k in heard)
        edits.right.update(
            names[k] for k, right in zip(heard, right_symbols(spoken, target_L), strict=True) if right
        )
        for edit in Levenshtein.editops(said, heard):
            true = "" if edit.tag == "insert" else names[said[edit.src_pos]]
            edits.taken[true, "" if edit.tag == "delete" else names[heard[edit.dest_pos]]] += 1
    return edits


class Sureness(NamedTuple):
    """Probabilities, and whether what they are of was right."""

    confidence_N: F32
    right_N: npt.NDArray[np.bool_]


def sureness_of_rows(spoken_N: SpokenRows, targets_NL: F32) -> Sureness:
    """Of whole transcripts."""
    confidence_N = np.array([spoken.heard.probability for spoken in spoken_N], dtype=np.float32)
    return Sureness(confidence_N, right_rows(spoken_N, targets_NL))


def sureness_of_symbols(spoken_N: SpokenRows, targets_NL: F32) -> Sureness:
    """Of every symbol that was heard, all rows' together."""
    pairs = list(zip(spoken_N, targets_NL, strict=True))
    return Sureness(
        np.concatenate([np.zeros(0), *(spoken.heard.probabilities_U for spoken, _ in pairs)]).astype(
            np.float32
        ),
        np.concatenate([np.zeros(0, bool), *(right_symbols(*pair) for pair in pairs)]),
    )


def text_of(task: Task, symbols_U: Sequence[int]) -> str:
    """UNKNOWN for each symbol that the model does not know."""
    return task.joiner.join((*task.labels, UNKNOWN)[k - 1] for k in symbols_U)


def largest_difference(spoken_N: SpokenRows, others_N: SpokenRows) -> float:
    """Between two models' probabilities of their transcripts of the same rows; 1 where these differ."""
    differences = [
        abs(spoken.heard.probability - other.heard.probability)
        if list(spoken.heard.symbols_U) == list(other.heard.symbols_U)
        else 1.0
        for spoken, other in zip(spoken_N, others_N, strict=True)
        if spoken is not None
    ]
    return max(differences, default=0.0)


def score_while_learning(task: Task, spoken_N: SpokenRows, targets_NL: F32) -> float | None:
    """Symbol accuracy; where that is equal, as in the first epochs, when nothing is heard yet, how likely
    what was said is. None where no row has a sound and a label."""
    rows = spoken_rows(spoken_N, targets_NL)
    if not len(rows):
        return None
    found = score_transcripts(task, spoken_N[rows], targets_NL[rows])["symbol_accuracy"]
    return (1 - TIE) * found + TIE * likelihood(spoken_N, targets_NL, task)


def likelihood(spoken_N: SpokenRows, targets_NL: F32, task: Task) -> float:
    """Geometric mean of the probability of what was said, by symbol, within [0, 1]."""
    rows = _sayable(task, spoken_N, targets_NL)
    return math.exp(-_loss(task, spoken_N[rows], targets_NL[rows])) if len(rows) else 0.0


def calibrate_transcript(
    task: Task, spoken_N: SpokenRows, targets_NL: F32, decoder_of: Callable[[Task], Decoder]
) -> Task:
    """With the temperature that makes what was said likeliest, then the slopes and offsets that make the
    probabilities of the whole and of each symbol true; see Decoding.

    Source: temperature scaling, Guo et al. 2017 (arXiv:1706.04599), of a whole sequence's probability; Platt
    1999 for what is left.
    """
    rows = _sayable(task, spoken_N, targets_NL)
    if len(rows):
        found = minimize_scalar(
            lambda log: _loss(
                dataclasses.replace(task, temperature=math.exp(log)), spoken_N[rows], targets_NL[rows]
            ),
            bounds=(math.log(0.2), math.log(5)),
            method="bounded",
            options={"xatol": 0.02},
        )
        task = dataclasses.replace(task, temperature=math.exp(found.x))
    rows = spoken_rows(spoken_N, targets_NL)
    plain = dataclasses.replace(task.decoding or Decoding(), whole=(1.0, 0.0), each=(1.0, 0.0))
    task = dataclasses.replace(task, decoding=plain)
    spoken_N, targets_NL = transcribe_again(spoken_N[rows], decoder_of(task)), targets_NL[rows]
    return dataclasses.replace(
        task,
        decoding=dataclasses.replace(
            plain,
            whole=_platt(sureness_of_rows(spoken_N, targets_NL)),
            each=_platt(sureness_of_symbols(spoken_N, targets_NL)),
        ),
    )


def _pieces(task: Task, said: Sequence[int], score: Score) -> Sequence[Hashable]:
    match score:
        case "symbol_accuracy":
            return said
        case "wer":
            return text_of(task, said).split()
        case "cer":
            return text_of(task, said)


def _sayable(task: Task, spoken_N: SpokenRows, targets_NL: F32) -> I64:
    """Rows of which the model could say what was said: it knows all symbols, and there are moments enough."""
    rows = spoken_rows(spoken_N, targets_NL)
    able = [
        (said_U < task.outputs).all() and tokens_needed(said_U) <= len(spoken_N[n].logits_SK)
        for n in rows.tolist()
        for said_U in [symbols(targets_NL[n])]
    ]
    return np.asarray(rows[np.array(able, dtype=bool)])


def _loss(task: Task, spoken_N: SpokenRows, targets_NL: F32) -> float:
    """Negative log likelihood of what was said, by symbol."""
    total, count = 0.0, 0
    for start in range(0, len(spoken_N), ROWS_AT_ONCE):
        logits = [torch.from_numpy(spoken.logits_SK) for spoken in spoken_N[start : start + ROWS_AT_ONCE]]
        targets_BL = torch.from_numpy(targets_NL[start : start + ROWS_AT_ONCE]).long()
        counts_B = (targets_BL != BLANK).sum(1)
        log_SBK = (torch.nn.utils.rnn.pad_sequence(logits) / task.temperature).log_softmax(2)
        lengths_B = torch.tensor([len(logits_SK) for logits_SK in logits])
        loss_B = F.ctc_loss(log_SBK, targets_BL, lengths_B, counts_B, blank=BLANK, reduction="none")
        total, count = total + float(loss_B.sum()), count + int(counts_B.sum())
    return total / max(count, 1)


def _platt(sureness: Sureness) -> tuple[float, float]:
    """Slope and offset on log odds, with Platt's targets, which allow for few rows and none that is wrong."""
    confidence_N, right_N = sureness.confidence_N.astype(np.float64), sureness.right_N
    if not len(right_N):
        return 1.0, 0.0
    odds_N = logit(confidence_N.clip(SURE, 1 - SURE))
    count = int(right_N.sum())
    target_N = np.where(right_N, (count + 1) / (count + 2), 1 / (len(right_N) - count + 2))

    def loss(parameters: F64) -> float:
        scaled_N = math.exp(parameters[0]) * odds_N + parameters[1]
        return float((np.logaddexp(0, scaled_N) - target_N * scaled_N).mean())

    log_slope, offset = minimize(loss, np.zeros(2), bounds=((-3, 3), (-10, 10))).x.tolist()
    return math.exp(log_slope), offset
