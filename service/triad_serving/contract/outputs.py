"""What crosses the border between preprocessing, the graph and postprocessing: names, shapes, dtypes.

Shape letters: L tokens and G n-grams of a text, H W pixels, C image cells, T samples, S sound tokens,
K outputs of a task, D embedding width, H heads, M media, B rows of a batch, Nt Ni Na
texts, images and sounds packed in it.

The graph's inputs (each medium only where the model reads it):
    token_ids     int64 [Nt, L]         0 pads
    pos_ids       int64 [Nt, L]         parts of speech, 0 pads (only where TextSpec.pos)
    ngram_ids     int64 [Nt, G]         known n-grams, 0 pads (only where TextSpec.max_ngrams)
    ngram_places  int64 [Nt, G]         the first token of each
    pixels        uint8 [Ni, H, W, 3]   RGB
    samples       int16 [Na, T]         mono at AudioSpec.sample_rate_hz
    sample_counts int64 [Na]            valid samples of each sound
    text_row, image_row, audio_row  int64 [B]   which packed item each row uses; the item count = absent
Its outputs:
    logits.TASK             float32 [B, K]   before softmax / sigmoid; a regression's value in its own unit
                            a transcript's [B, S, K], before softmax: BLANK, then its symbols, by sound token
    attention.TASK.MEDIUM   float32 [B, L | C | S]   sums to 1 over all media; 0 where absent
    rollout.TASK.MEDIUM     float32 like attention, traced back through the layers of fusion
    fusion.LAYER            float32 [B, H, M, M]   by layer from 1, head and medium of the model: how much
                            its tokens attended to those of each; rows sum to 1; 0 where absent
    embedding.MEDIUM, embedding.fused  float32 [B, D]   L2-normalised; 0 where absent
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from triad_serving.contract.arrays import F32

MediumName: TypeAlias = str  # one of media.names.MEDIA


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of the graph's outputs a caller needs besides the logits."""

    attention: bool = False
    fusion: bool = False
    embeddings: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(
            attention=self.attention or other.attention,
            fusion=self.fusion or other.fusion,
            embeddings=self.embeddings or other.embeddings,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelOutputs:
    """One row of the graph's answer; all but the logits are empty unless wanted.

    logits_K: by task; a transcript's [S, K], [0, K] without a sound. attention, rollout: by task and present
    medium, [L], [C] or [S], padding removed. fusion_HMM: of each layer. embeddings_D: by present medium, and
    "fused".
    """

    logits_K: Mapping[str, F32]
    attention: Mapping[str, Mapping[MediumName, F32]] = field(default_factory=dict)
    rollout: Mapping[str, Mapping[MediumName, F32]] = field(default_factory=dict)
    fusion_HMM: Sequence[F32] = ()
    embeddings_D: Mapping[str, F32] = field(default_factory=dict)


def media_subsets(media: Sequence[MediumName]) -> list[tuple[MediumName, ...]]:
    """Every non-empty subset, smallest first."""
    return [subset for size in range(1, len(media) + 1) for subset in itertools.combinations(media, size)]
