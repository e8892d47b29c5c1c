"""The network: an encoder of each medium, fusion, and for each task a query and a head.

Shape letters: N items of one medium, B rows, P tokens of all media side by side, D width, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.medium import Assets
from triad_training.config.train_config import TrainConfig
from triad_training.media.encoders import build_encoders
from triad_training.media.registry import present
from triad_training.network.fusion import Fusion, TaskAttention, between_media, roll_out, segment_masks
from triad_training.network.head import Head

MAX_TOKENS = 2**20  # of one item; any number that none reaches


class Tokens(NamedTuple):
    """Tokens of items (or rows) of one medium, and which of them are valid."""

    tokens_NPD: Tensor
    mask_NP: Tensor


Encoded: TypeAlias = Mapping[MediumName, Tokens]


class TriadModel(nn.Module):
    """Packed media and row indices in, the outputs of the contract out; see contract/outputs.py for both."""

    def __init__(
        self, config: TrainConfig, spec: PreprocessSpec, tasks: Sequence[Task], assets: Assets
    ) -> None:
        super().__init__()
        self.media = spec.media
        self.inputs = {
            medium.serving.name: [each.name for each in medium.serving.inputs(own)]
            for medium, own in present(spec)
        }
        width, heads, dropout = config.model.width, config.model.heads, config.model.dropout
        self.encoders = build_encoders(config, spec, assets)
        self.fusion = Fusion(width=width, heads=heads, layers=config.model.fusion_layers, dropout=dropout)
        self.medium_marks = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in spec.media})
        self.attention = nn.ModuleDict({task.name: TaskAttention(width) for task in tasks})
        self.heads = nn.ModuleDict({task.name: Head(width, task, dropout) for task in tasks})

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With what fusion looked at, which only explanations need."""
        rows = {medium: inputs[f"{medium}_row"] for medium in self.media}
        return self.answer(self.encode(inputs), rows, fusion=True)

    def encode(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """Every packed item of every medium, once."""
        return {
            medium: Tokens(*self.encoders[medium](*(inputs[name] for name in self.inputs[medium])))
            for medium in self.media
        }

    def answer(
        self, encoded: Encoded, rows: Mapping[MediumName, Tensor], *, fusion: bool = False
    ) -> dict[str, Tensor]:
        """Outputs for rows that read only the media given here.

        rows: by medium, which item each row uses. fusion: whether to add the outputs `rollout` and `fusion`.
        """
        gathered = {medium: _gather_rows(encoded[medium], rows_B) for medium, rows_B in rows.items()}
        lengths = [tokens.mask_NP.shape[1] for tokens in gathered.values()]
        mask_BMP = segment_masks([tokens.mask_NP for tokens in gathered.values()])
        own_BPD = torch.cat([tokens.tokens_NPD for tokens in gathered.values()], dim=1)
        marked = [tokens.tokens_NPD + self.medium_marks[medium] for medium, tokens in gathered.items()]
        fused_BPD, layers = self.fusion(torch.cat(marked, dim=1), mask_BMP.any(1))

        outputs, read = {}, []
        for name, attention in self.attention.items():
            reading = attention(fused_BPD, own_BPD, mask_BMP)
            outputs[f"logits.{name}"], shares_BM = self.heads[name](reading)
            read.append((shares_BM[:, :, None] * reading.reads_BMD).sum(1))
            weights_BP = (shares_BM[:, :, None] * reading.weights_BMP).sum(1)
            kinds = {"attention": weights_BP}
            if fusion:
                kinds["rollout"] = roll_out(weights_BP, layers)
            for kind, of_tokens_BP in kinds.items():
                for medium, weights in zip(gathered, of_tokens_BP.split(lengths, dim=1), strict=True):
                    outputs[f"{kind}.{name}.{medium}"] = weights
        if fusion:
            for number, weights_BHPP in enumerate(layers, start=1):
                outputs[f"fusion.{number}"] = between_media(weights_BHPP, mask_BMP)
        summed_BMD = mask_BMP.to(own_BPD.dtype) @ own_BPD
        embedded_BMD = F.normalize(torch.cat([summed_BMD, torch.stack(read).mean(0)[:, None]], dim=1), dim=2)
        for m, part in enumerate((*gathered, "fused")):
            outputs[f"embedding.{part}"] = embedded_BMD[:, m]
        return outputs

    def head(self, task: str) -> Head:
        head = self.heads[task]
        assert isinstance(head, Head)
        return head


def _gather_rows(items: Tokens, rows_B: Tensor) -> Tokens:
    """The item of each row; one blank item (zeros, mask false) stands behind the last for "absent".

    Where there is no item at all, rows get no tokens, so that fusion does not run over blanks.
    """
    count, length = items.mask_NP.shape
    # `length if count else 0`, in arithmetic that torch 2.13's exporter neither folds nor mistranslates.
    kept = length - length // (count * MAX_TOKENS + 1)
    places = torch.arange(kept, device=rows_B.device)
    rows = [
        torch.cat([part, part.new_zeros(1, *part.shape[1:])]).index_select(1, places).index_select(0, rows_B)
        for part in items
    ]
    return Tokens(*rows)
