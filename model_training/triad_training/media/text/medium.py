"""Text as a medium that a model learns."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import RequestError
from triad_serving.contract.tasks import Task
from triad_serving.media.medium import Medium
from triad_serving.media.text.lexicon import Lexicon, WordLexicon
from triad_serving.media.text.medium import TEXT as SERVING
from triad_serving.media.text.medium import Cut
from triad_serving.media.text.schemas import WordAttention
from triad_serving.media.text.spec import UNKNOWN_ID, TextInput, TextSpec
from triad_serving.media.text.words import RESERVED, check_text
from triad_training.layers.expert import Expert
from triad_training.media.config import AugmentConfig, EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.corruption import Corruption
from triad_training.media.medium import Change, Reading
from triad_training.media.pretrained.source import network_files
from triad_training.media.stored import LIMITS, File, Files, StoredForm
from triad_training.media.style import MediumStyle
from triad_training.media.text.augment import augment_text
from triad_training.media.text.config import TextAugment
from triad_training.media.text.corruption import CORRUPTIONS
from triad_training.media.text.encoder import TextEncoder
from triad_training.media.text.expert import NgramExpert
from triad_training.media.text.loader import TextLoader, open_loader
from triad_training.media.text.ngrams import PER_TOKEN, build_ngrams, is_word
from triad_training.media.text.pretrained import PretrainedTextEncoder, load_lexicon
from triad_training.media.text.view import TextView, view_text
from triad_training.media.text.vocabulary import build_lexicon

WORD_EMBEDDING = "words.weight"


class TrainingText:
    """See TrainingMedium. Its source is the text itself."""

    serving: Medium[TextSpec, Lexicon, str, Cut, TextInput] = SERVING
    forms: tuple[StoredForm, ...] = ()
    may_coincide = True
    unread = '""'
    aligned_inputs: tuple[str, ...] = ()
    style = MediumStyle(colour="#14234a", marker="o")
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    size_label = "tokens of a text"
    parts_label = "words"
    hidden_label = "a hidden word is left out"
    attended_label = "shaded words"

    def columns(self, data: MediaColumns) -> tuple[str, ...]:
        return (data.text,) if data.text and self.serving.name in data.subset else ()

    def source(self, cells: Mapping[str, str], data: MediaColumns, folder: Path) -> str | None:
        return next((cells.get(column) or None for column in self.columns(data)), None)

    def files(self, source: str, *, augmented: bool) -> Iterator[File]:
        return iter(())

    def check(self, source: str) -> str | None:
        try:
            check_text(source, LIMITS)
        except RequestError as error:
            return f"{source}: {error.detail}"
        return None

    def identity(self, source: str, digests: Mapping[Path, bytes]) -> bytes | None:
        return source.encode()

    def problems(self, rows: Mapping[int, str], data: MediaColumns) -> Iterator[str]:
        return iter(())

    def doubts(self, rows: Mapping[int, str], data: MediaColumns) -> Iterator[str]:
        return iter(())

    def raw(self, source: str) -> str:
        return source

    def fit_spec(self, spec: TextSpec, model: EncodersConfig) -> TextSpec:
        return spec

    def learn(
        self,
        spec: TextSpec,
        config: MediaConfig,
        sources: Sequence[str | None],
        tasks: Sequence[Task],
        targets: Mapping[str, F32],
    ) -> tuple[TextSpec, Lexicon]:
        pretrained = config.model.text_encoder
        lexicon: Lexicon = (
            load_lexicon(pretrained)
            if pretrained is not None
            else build_lexicon(config.lexicon, spec, sources, tasks, targets)
        )
        ngrams = build_ngrams(sources, spec, lexicon) if config.model.linear else None
        if not ngrams:
            return dataclasses.replace(spec, max_ngrams=0), lexicon
        reading = dataclasses.replace(spec, max_ngrams=PER_TOKEN * spec.max_tokens)
        return reading, lexicon.with_ngrams(ngrams)

    def loader(self, sources: Sequence[str], spec: TextSpec, asset: Lexicon, files: Files) -> TextLoader:
        return open_loader(sources, spec, asset)

    def augmentation(self, config: AugmentConfig, spec: TextSpec, files: Files) -> Change[Cut] | None:
        if config.text == TextAugment():
            return None
        return functools.partial(_change, config=config.text)

    def build_encoder(self, config: MediaConfig, spec: TextSpec, asset: Lexicon) -> nn.Module:
        model = config.model
        if model.text_encoder is not None:
            return PretrainedTextEncoder(spec, model.text_encoder, width=model.width)
        return TextEncoder(
            spec,
            asset.size,
            width=model.width,
            heads=model.heads,
            layers=model.text_layers,
            dropout=model.dropout,
        )

    def build_experts(
        self, config: MediaConfig, spec: TextSpec, asset: Lexicon, encoder: nn.Module, tasks: Sequence[Task]
    ) -> dict[str, Expert]:
        experts: dict[str, Expert] = {}
        if spec.max_ngrams and asset.ngrams:
            words = [is_word(entry) for entry in asset.ngrams.entries]
            experts["words"] = NgramExpert(tasks, words)
            experts["characters"] = NgramExpert(tasks, [not word for word in words])
        return experts

    def without_experts(
        self, spec: TextSpec, asset: Lexicon, kept: Collection[str]
    ) -> tuple[TextSpec, Lexicon]:
        if {"words", "characters"} & set(kept):
            return spec, asset
        return dataclasses.replace(spec, max_ngrams=0), asset.with_ngrams(None)

    def initialise(self, encoder: nn.Module, spec: TextSpec, sources: Sequence[str]) -> None:
        pass

    def bundle_files(self, config: MediaConfig, spec: TextSpec, asset: Lexicon) -> dict[str, bytes]:
        encoder = config.model.text_encoder
        return asset.files() | (network_files(encoder, self.serving.name) if encoder else {})

    def sample_inputs(self, spec: TextSpec, items: int) -> dict[str, Tensor]:
        names = [each.name for each in self.serving.inputs(spec)]
        lengths = {name: items + (19 if name.startswith("ngram") else 9) for name in names}
        return {name: torch.ones(items, lengths[name], dtype=torch.int64) for name in names}

    def degenerate(self, spec: TextSpec) -> Sequence[TextInput]:
        """Unknown words, as many as there may be, and one."""
        items = []
        for tokens in (1, spec.max_tokens):
            ids_L = np.full(tokens, UNKNOWN_ID, dtype=np.int64)
            tags_L = np.zeros_like(ids_L) if spec.pos else None
            spans = tuple((n, n + 1) for n in range(tokens))
            items.append(
                TextInput(text="?" * tokens, ids_L=ids_L, pos_L=tags_L, spans=spans, truncated=False)
            )
        return items

    def transfer(
        self,
        name: str,
        source: Tensor,
        target: Tensor,
        new: Reading[TextSpec, Lexicon],
        old: Reading[TextSpec, Lexicon],
    ) -> int | None:
        """Word embeddings go by word, because vocabularies differ."""
        words, known = new.asset, old.asset
        if not (name == WORD_EMBEDDING and isinstance(words, WordLexicon) and isinstance(known, WordLexicon)):
            return None
        if source.shape[1:] != target.shape[1:]:
            return 0
        shared = [token for token in (*RESERVED, *words.vocabulary.tokens) if token in known.vocabulary]
        rows = torch.tensor([words.vocabulary.id_of(token) for token in shared])
        target[rows] = source[[known.vocabulary.id_of(token) for token in shared]]
        return target[rows].numel()

    def size(self, item: TextInput) -> float:
        return len(item.ids_L)

    def view(self, raw: str, item: TextInput, section: Sequence[WordAttention], spec: TextSpec) -> TextView:
        return view_text(raw, section)


def _change(cut: Cut, rng: np.random.Generator, *, config: TextAugment) -> Cut:
    return augment_text(cut, config, rng)


TEXT = TrainingText()
