"""Pretrained text encoders (BERT, RoBERTa, DistilBERT, XLM-R and their kin): token ids to tokens.

Shape letters: N texts, L tokens, P Q tokens that the model wants before and behind them, H its width, D ours.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from triad_serving.contract.errors import ConfigError
from triad_serving.media.text.spec import PAD_ID, UNKNOWN_ID, TextSpec
from triad_serving.media.text.tokenizer import FIRST_ID, TOKENIZER_FILE, TokenizerLexicon
from triad_training.media.pretrained.backbone import Backbone, Projection, nothing_to_encode
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.location import in_bundle, locate
from triad_training.media.pretrained.source import library, load_model, try_loading


class PretrainedTextEncoder(nn.Module):
    """Puts [CLS] and its like around each text for the source's network; its tokens leave them out."""

    def __init__(self, spec: TextSpec, encoder: PretrainedConfig, *, width: int) -> None:
        super().__init__()
        model, lexicon = load_model(encoder, "text"), load_lexicon(encoder)
        self.backbone = Backbone(model, encoder)
        self.hidden_size = int(model.config.hidden_size)
        self.project = Projection(self.hidden_size, width)
        self.before, self.behind = lexicon.surroundings()
        self.padding = model.config.pad_token_id or 0
        self.unknown = self.padding if lexicon.unknown is None else lexicon.unknown
        _require_positions(model, spec.max_tokens, len(self.before) + len(self.behind), encoder)

    def forward(self, token_ids_NL: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        """int64 ids; returns tokens_NLD and mask_NL."""
        hidden_NLH, mask_NL = self.hidden(token_ids_NL)
        return self.project(hidden_NLH), mask_NL

    def hidden(self, token_ids_NL: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise; returns hidden_NLH and mask_NL."""
        length = token_ids_NL.shape[1]
        if nothing_to_encode(token_ids_NL):
            return self.project.nothing(length)
        mask_NL = token_ids_NL != PAD_ID
        ids, mask = self._surrounded(self._own_ids(token_ids_NL), mask_NL.sum(1, keepdim=True))
        hidden = self.backbone.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        places = torch.arange(length, device=ids.device) + len(self.before)
        return hidden.index_select(1, places), mask_NL

    def _own_ids(self, token_ids_NL: Tensor) -> Tensor:
        """The tokenizer's ids of the contract's."""
        own_NL = torch.where(token_ids_NL == UNKNOWN_ID, self.unknown, token_ids_NL - FIRST_ID)
        return torch.where(token_ids_NL == PAD_ID, self.padding, own_NL)

    def _surrounded(self, ids_NL: Tensor, counts_N1: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and mask, [N, P + L + Q]: what stands behind a text follows its last token, then padding."""
        items = ids_NL.shape[0]
        front = ids_NL.new_tensor(self.before).expand(items, -1)
        back = ids_NL.new_full((len(self.behind),), self.padding).expand(items, -1)
        ids = torch.cat([front, ids_NL, back], dim=1)
        places = torch.arange(ids.shape[1], device=ids.device)
        end_N1 = counts_N1 + len(self.before)
        for i, special in enumerate(self.behind):
            ids = torch.where(places == end_N1 + i, special, ids)
        return ids, places < end_N1 + len(self.behind)


@torch.no_grad()
def _require_positions(model: nn.Module, max_tokens: int, specials: int, encoder: PretrainedConfig) -> None:
    """Raises ConfigError where the model has fewer positions: asked by its longest text, on blank ids."""
    ids = torch.zeros(1, max_tokens + specials, dtype=torch.int64)
    try:
        model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    except (IndexError, RuntimeError) as error:
        raise ConfigError(
            f"preprocess.text.max_tokens: {encoder.source} cannot read {max_tokens} tokens and {specials} "
            f"around them ({str(error).splitlines()[0]})."
        ) from error


def load_lexicon(encoder: PretrainedConfig) -> TokenizerLexicon:
    """The source's tokenizer, as the service runs it. Raises ConfigError, SetupError."""
    found = locate(encoder.source, "text")
    if in_bundle(encoder.source):
        return TokenizerLexicon(Path(encoder.source).with_name(TOKENIZER_FILE).read_bytes())
    auto = library().AutoTokenizer
    tokenizer = try_loading(lambda: auto.from_pretrained(found.place), found, encoder, "text")
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise ConfigError(f"model.text_encoder.source: {encoder.source} has no {TOKENIZER_FILE}.")
    return TokenizerLexicon(fast.to_str().encode())
