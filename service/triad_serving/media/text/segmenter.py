"""Segmenter: jieba under its own dictionary and a user's, and what part of speech a word is."""

from __future__ import annotations

import functools
import io
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import jieba
import rjieba

from triad_serving.contract.errors import SetupError
from triad_serving.media.text.characters import normalise
from triad_serving.media.text.spec import POS_TAGS

OTHER = "x"  # jieba's tag of punctuation and of whatever it does not know
LETTER_OR_DIGIT = re.compile("[a-zA-Z0-9]")
SYMBOL = re.compile("[+#&._%-]")  # what jieba joins with Chinese, Latin letters and digits


class Segmenter:
    """Cuts a normalised text into words and tags them. Any number of threads may share one.

    Under jieba's own dictionary a port to Rust does the work, in a tenth of the time: it cut 87 000 blocks of
    Chinese, Latin and digits as jieba does. Of the others, like 5-10%, it makes other words, so jieba cuts
    these itself.
    """

    def __init__(self, user_dictionary: str) -> None:
        """user_dictionary: as `read_user_dictionary` returns it; "" leaves jieba's own alone."""
        self._jieba = _base_tokenizer()
        self._port = None if user_dictionary else _port()
        if user_dictionary:
            # A copy of half a million entries: 14 ms and 15 MB, so that no bundle sees another's words.
            self._jieba = _tokenizer(dict(self._jieba.FREQ), self._jieba.total)
            self._jieba.load_userdict(io.StringIO(user_dictionary))
        self._user_tags: Mapping[str, str] = self._jieba.user_word_tag_tab

    def cut(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Every word with its [start, end); white space, too, so that they join up to the text."""
        done = 0
        for block in jieba.re_han_default.finditer(text):
            start, end = block.span()
            for place in range(done, start):
                yield text[place], place, place + 1
            port = None if SYMBOL.search(text, start, end) else self._port
            for word, first, last in (port or self._jieba).tokenize(block.group()):
                yield word, start + first, start + last
            done = end
        for place in range(done, len(text)):
            yield text[place], place, place + 1

    def tag(self, word: str) -> str:
        """Its part of speech, one of POS_TAGS: as the user's dictionary has it, jieba's, or its model."""
        return self._user_tags.get(word) or _base_tags().get(word) or _guess_tag(word)


@functools.cache
def segmenter(user_dictionary: str = "") -> Segmenter:
    """One per user dictionary in this process."""
    return Segmenter(user_dictionary)


def read_user_dictionary(path: Path) -> str:
    """A file in jieba's format, "word [frequency] [tag]" a line, with its words normalised as texts are.

    Raises SetupError with the line that could have no effect, or one beyond this dictionary.
    """
    entries = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        word, frequency, tag = jieba.re_userdict.match(line.strip()).groups(default="")
        word, _ = normalise(word)
        if not jieba.re_han_default.fullmatch(word):
            raise SetupError(
                f"{path}, line {number}: {word!r} can never be cut out; jieba joins Chinese characters, "
                "Latin letters, digits and any of + # & . _ % - only."
            )
        if frequency and not int(frequency):  # jieba would split it in every dictionary of this process
            raise SetupError(f"{path}, line {number}: the frequency of {word!r} must be at least 1.")
        if tag and tag.strip() not in POS_TAGS:
            known = ", ".join(POS_TAGS)
            raise SetupError(
                f"{path}, line {number}: unknown part of speech {tag.strip()!r}; known: {known}."
            )
        entries.append(f"{word}{frequency}{tag}\n")
    return "".join(entries)


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file, a byte order mark dropped. Raises SetupError."""
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} cannot be read: {error}.") from error


@functools.cache
def _base_tokenizer() -> jieba.Tokenizer:
    """jieba's own dictionary; reading it takes about half a second, once.

    Not by jieba's `initialize`: it trusts and writes a cache in the temporary folder, under a name that any
    local user can take first, fails where no folder can be written, and was slower (0.55 s against 0.44 s).
    """
    jieba.setLogLevel(logging.WARNING)
    return _tokenizer(*jieba.Tokenizer.gen_pfdict(jieba.Tokenizer().get_dict_file()))


@functools.cache
def _port() -> rjieba.Jieba:
    """jieba's dictionary in Rust: 0.26 s and 57 MB, once."""
    return rjieba.Jieba()


def _tokenizer(frequencies: dict[str, int], total: int) -> jieba.Tokenizer:
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total, tokenizer.initialized = frequencies, total, True
    return tokenizer


@functools.cache
def _posseg() -> ModuleType:
    """jieba.posseg: its import takes 0.24 s and 54 MB, so only for models that want tags."""
    import jieba.posseg

    return jieba.posseg  # type: ignore[no-any-return]


@functools.cache
def _base_tagger() -> jieba.posseg.POSTokenizer:
    """The tags of jieba's own dictionary: 0.21 s and 43 MB, once."""
    return _posseg().POSTokenizer(_base_tokenizer())


def _base_tags() -> Mapping[str, str]:
    tags: Mapping[str, str] = _base_tagger().word_tag_tab
    return tags


@functools.lru_cache(maxsize=10_000)
def _guess_tag(word: str) -> str:
    """The tag of a word that no dictionary has: of its longest piece, as posseg's model cuts and tags it.

    The model looks at one word, not at the text, so that the cuts stay jieba's; and not at characters that
    it never saw, for each of which it tries 256 states: a text of 1000 such took it 8.7 s.
    """
    if LETTER_OR_DIGIT.search(word):
        return "eng" if re.search("[a-zA-Z]", word) else "m"
    if len(word) == 1 or any(character not in _posseg().char_state_tab_P for character in word):
        return OTHER
    pieces = _base_tagger().cut(word)
    return str(max(pieces, key=lambda piece: len(piece.word)).flag)
