"""Text by a tokenizer.json: pieces, their places in the text as sent, ids."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from triad_serving.contract.errors import BundleError, DecodeError, SetupError, TooLargeError
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.lexicon import read_lexicon
from triad_serving.media.text.spec import UNKNOWN_ID, TextSpec
from triad_serving.media.text.tokenizer import FIRST_ID, TokenizerLexicon

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "shin", "##ing", "sun", "cafe", "明")
SPEC, LIMITS = TextSpec(max_tokens=5), MediaLimits()


@pytest.fixture(scope="module")
def lexicon() -> TokenizerLexicon:
    """BERT's parts, with a truncation and padding that must not count."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=20)
    return TokenizerLexicon(tokenizer.to_str().encode())


def read(lexicon: TokenizerLexicon, text: str) -> tuple[list[tuple[str, int]], bool]:
    """Each token's text as sent and its id; whether some were cut off."""
    encoded = lexicon.encode(lexicon.words(text, SPEC, LIMITS), SPEC, text=text)
    pieces = [text[start:end] for start, end in encoded.spans]
    return list(zip(pieces, encoded.ids_L.tolist(), strict=True)), encoded.truncated


def test_pieces_stand_where_they_were_sent(lexicon: TokenizerLexicon) -> None:
    """Whatever the tokenizer makes of case, accents and spaces; counted in code points."""
    expected = [("SHIN", 4), ("ing", 5), ("😀", None), ("Café", 7), ("明", 8)]
    found, truncated = read(lexicon, " SHINing 😀 Café明")
    assert found == [(piece, UNKNOWN_ID if i is None else i + FIRST_ID) for piece, i in expected]
    assert not truncated


def test_what_does_not_fit_is_cut_off_and_said(lexicon: TokenizerLexicon) -> None:
    found, truncated = read(lexicon, "sun " * 6)
    assert [piece for piece, _ in found] == ["sun"] * 5
    assert truncated


def test_what_the_model_wants_around_a_text_is_not_in_it(lexicon: TokenizerLexicon) -> None:
    assert lexicon.surroundings() == ([2], [3])
    assert read(lexicon, "sun")[0] == [("sun", 6 + FIRST_ID)]


def test_a_space_is_no_part_of_the_word_behind_it() -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁sun", -1.0), ("▁", -2.0)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    lexicon = TokenizerLexicon(tokenizer.to_str().encode())
    assert read(lexicon, "sun  sun 明")[0] == [
        ("sun", 1 + FIRST_ID),
        ("", 2 + FIRST_ID),
        ("sun", 1 + FIRST_ID),
        ("", 2 + FIRST_ID),
        ("明", UNKNOWN_ID),
    ]


def test_a_text_of_nothing_that_the_tokenizer_keeps_is_one_unknown_word(lexicon: TokenizerLexicon) -> None:
    assert read(lexicon, "\x00\x01")[0] == [("\x00\x01", UNKNOWN_ID)]


def test_an_empty_or_too_long_text_is_refused(lexicon: TokenizerLexicon) -> None:
    with pytest.raises(DecodeError, match="no words"):
        lexicon.words("  \n", SPEC, LIMITS)
    with pytest.raises(TooLargeError, match="5 characters; at most 4"):
        lexicon.words("sunny", SPEC, MediaLimits(max_characters=4))


def test_a_bundle_with_a_tokenizer_reads_by_it(lexicon: TokenizerLexicon, tmp_path: Path) -> None:
    for name, data in lexicon.files().items():
        (tmp_path / name).write_bytes(data)
    again = read_lexicon(tmp_path, lexicon.files())
    assert isinstance(again, TokenizerLexicon)
    assert again.size == lexicon.size == len(WORDS) + FIRST_ID
    assert read(again, "shining") == read(lexicon, "shining")


def test_a_broken_tokenizer_is_refused() -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        TokenizerLexicon(b"{}")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SetupError, match=r"pip install triad-serving\[tokenizer\]"):
        TokenizerLexicon(b"{}")
