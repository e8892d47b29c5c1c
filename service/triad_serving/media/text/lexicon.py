"""Lexicon: everything besides the spec that turns a text into ids. Its files lie in the bundle."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from triad_serving.contract.errors import BundleError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.characters import normalise
from triad_serving.media.text.ngrams import NGRAMS_FILE, Ngrams
from triad_serving.media.text.segmenter import read_lines, read_user_dictionary, segmenter
from triad_serving.media.text.spec import TextInput, TextSpec
from triad_serving.media.text.tokenizer import TOKENIZER_FILE, TokenizerLexicon
from triad_serving.media.text.words import Vocabulary, Word, encode_words, segment_text

VOCABULARY_FILE, USER_DICTIONARY_FILE, STOP_WORDS_FILE = (
    "vocabulary.txt",
    "user_dictionary.txt",
    "stop_words.txt",
)


class Lexicon(Protocol):
    """Two halves, so that training can drop and split words between them. ngrams: where the spec has any."""

    @property
    def ngrams(self) -> Ngrams | None: ...

    def words(self, text: str, spec: TextSpec, limits: MediaLimits) -> tuple[Word, ...]:
        """Raises TooLargeError over limits.max_characters, DecodeError where there is no word in it."""
        ...

    def encode(self, words: Sequence[Word], spec: TextSpec, *, text: str) -> TextInput:
        """text: as sent, for the answer."""
        ...

    @property
    def size(self) -> int:
        """How many ids there are, reserved ones included."""
        ...

    def files(self) -> dict[str, bytes]:
        """What `read_lexicon` reads back, by file name."""
        ...

    def with_ngrams(self, ngrams: Ngrams | None) -> Lexicon:
        """The same lexicon, which reads these, too; or none."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class WordLexicon:
    """Words as jieba cuts them, looked up in a vocabulary that training made.

    user_dictionary: as segmenter.read_user_dictionary returns it.
    stop_words: normalised words that the model does not read.
    """

    vocabulary: Vocabulary
    user_dictionary: str = ""
    stop_words: frozenset[str] = frozenset()
    ngrams: Ngrams | None = None

    def words(self, text: str, spec: TextSpec, limits: MediaLimits) -> tuple[Word, ...]:
        """A text of nothing but stop words and dropped parts of speech keeps them all."""
        tagged = spec.pos or bool(spec.drop_pos)
        words = segment_text(text, limits, segmenter(self.user_dictionary), pos=tagged)
        kept = [word for word in words if word.text not in self.stop_words and word.pos not in spec.drop_pos]
        return tuple(kept) or words

    def encode(self, words: Sequence[Word], spec: TextSpec, *, text: str) -> TextInput:
        item = encode_words(words, self.vocabulary, spec, text=text)
        return self.ngrams.read_in(item, spec) if self.ngrams else item

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def files(self) -> dict[str, bytes]:
        """An empty part has no file."""
        parts = {
            VOCABULARY_FILE: self.vocabulary.to_bytes(),
            USER_DICTIONARY_FILE: self.user_dictionary.encode(),
            STOP_WORDS_FILE: "".join(f"{word}\n" for word in sorted(self.stop_words)).encode(),
            NGRAMS_FILE: self.ngrams.to_bytes() if self.ngrams else b"",
        }
        return {name: data for name, data in parts.items() if data or name == VOCABULARY_FILE}

    def with_ngrams(self, ngrams: Ngrams | None) -> WordLexicon:
        return dataclasses.replace(self, ngrams=ngrams)


def read_lexicon(folder: Path, names: Collection[str]) -> Lexicon:
    """The lexicon of a bundle that lists the files `names`. Raises SetupError."""
    ngrams = Ngrams.read(folder / NGRAMS_FILE) if NGRAMS_FILE in names else None
    if TOKENIZER_FILE in names:
        return TokenizerLexicon((folder / TOKENIZER_FILE).read_bytes(), ngrams)
    if VOCABULARY_FILE not in names:
        raise BundleError(f"Bundle {folder}: bundle.json does not list {VOCABULARY_FILE}.")
    user_dictionary, stop_words = (
        folder / name if name in names else None for name in (USER_DICTIONARY_FILE, STOP_WORDS_FILE)
    )
    return WordLexicon(
        vocabulary=Vocabulary.read(folder / VOCABULARY_FILE),
        user_dictionary=read_user_dictionary(user_dictionary) if user_dictionary else "",
        stop_words=read_stop_words(stop_words) if stop_words else frozenset(),
        ngrams=ngrams,
    )


def read_stop_words(path: Path) -> frozenset[str]:
    """A file of one word a line, normalised as texts are. Raises SetupError."""
    return frozenset(normalise(line.strip())[0] for line in read_lines(path) if line.strip())
