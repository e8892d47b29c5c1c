"""The sections [augment.text] and [lexicon] of a training config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from triad_training.media.section import Fraction, Section

WordScore = Literal["mutual_information", "chi2"]
LANGUAGE = re.compile("[a-z]{2}")  # ISO 639-1; anything else in lexicon.stop_words is a file


class TextAugment(Section):
    drop: Fraction = Field(default=0.0, description="Share of words left out.")
    split: Fraction = Field(default=0.0, description="Share of words spelled out, as unknown ones are.")


class LexiconConfig(Section):
    """The words that the model knows. What training makes of it lies in the bundle as plain text files."""

    user_dictionary: Path | None = Field(
        default=None,
        description="Words that jieba shall not cut apart: products, drugs, names. A file in its format, "
        '"word [frequency] [tag]" a line; relative to the config file.',
    )
    stop_words: tuple[str, ...] = Field(
        default=(),
        description='Words not read at all: of languages ("zh", "en": stopwordsiso) and of files, relative '
        "to the config file, one a line. For long texts, of which max_tokens would cut the end off. Both "
        "lists name numerals and negations (七, seven, 不, not): where they matter, take a file.",
    )
    min_count: int = Field(default=2, ge=1, description="Rarer training words become characters.")
    max_words: int = Field(
        default=0, ge=0, description="Most words in the vocabulary, characters not counted; 0: all."
    )
    select: Literal["frequency"] | WordScore = Field(
        default="frequency",
        description="Which words, where max_words leaves some out: the most frequent, or those that tell "
        "most of the labels: for few examples of long texts. mutual_information prefers telling words that "
        "are frequent, chi2 those that are sure, however rare.",
    )

    @model_validator(mode="after")
    def _selects_from_too_many(self) -> LexiconConfig:
        if self.select != "frequency" and not self.max_words:
            raise ValueError(f"select = {self.select!r} needs max_words: without it every word is taken")
        return self

    def with_paths_from(self, folder: Path) -> LexiconConfig:
        """Its relative paths are of this folder."""
        named = (s if LANGUAGE.fullmatch(s) else str((folder / s).resolve()) for s in self.stop_words)
        dictionary = self.user_dictionary and (folder / self.user_dictionary).resolve()
        return self.model_copy(update={"stop_words": tuple(named), "user_dictionary": dictionary})

    def portable(self) -> LexiconConfig:
        """Files by their name alone."""
        named = tuple(Path(source).name for source in self.stop_words)
        dictionary = self.user_dictionary and Path(self.user_dictionary.name)
        return self.model_copy(update={"stop_words": named, "user_dictionary": dictionary})
