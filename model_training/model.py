"""The network: three encoders, fusion, and for each task a query and a head.

Shape letters: N items of one medium, B rows, P tokens of all media side by side, D width, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_training.config import ModelConfig
from model_training.encoders import AudioEncoder, ImageEncoder, TextEncoder
from model_training.fusion import Fusion, TaskAttention
from service.contract import PreprocessSpec, Task

MAX_TOKENS = 2**20  # of one item; any number that none reaches


class TriadModel(nn.Module):
    """Packed media and row indices in, the outputs of the contract out; see service.contract for both."""

    def __init__(
        self, config: ModelConfig, spec: PreprocessSpec, tasks: Sequence[Task], *, words: int
    ) -> None:
        """words: entries of the vocabulary, reserved ones included; unused where no text is read."""
        super().__init__()
        self.media = spec.media
        width, heads, dropout = config.width, config.heads, config.dropout
        self.encoders = nn.ModuleDict()
        if spec.text is not None:
            self.encoders["text"] = TextEncoder(
                spec.text, words, width=width, heads=heads, layers=config.text_layers, dropout=dropout
            )
        if spec.image is not None:
            self.encoders["image"] = ImageEncoder(spec.image, width=width)
        if spec.audio is not None:
            self.encoders["audio"] = AudioEncoder(spec.audio, width=width, mels=config.mels, dropout=dropout)
        self.fusion = Fusion(width=width, heads=heads, layers=config.fusion_layers, dropout=dropout)
        self.medium_marks = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in spec.media})
        self.attention = nn.ModuleDict({task.name: TaskAttention(width) for task in tasks})
        self.heads = nn.ModuleDict({task.name: Head(width, task, dropout) for task in tasks})

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own, masks = [], []
        for medium in self.media:
            tokens_NPD, mask_NP = self._encode(medium, inputs)
            tokens_BPD, mask_BP = _gather_rows(tokens_NPD, mask_NP, inputs[f"{medium}_row"])
            own.append(tokens_BPD)
            masks.append(mask_BP)
        lengths = [tokens.shape[1] for tokens in own]
        marked = [tokens + self.medium_marks[m] for m, tokens in zip(self.media, own, strict=True)]
        mask_BP, own_BPD = torch.cat(masks, dim=1), torch.cat(own, dim=1)
        fused_BPD = self.fusion(torch.cat(marked, dim=1), mask_BP)

        outputs, read = {}, []
        for name, attention in self.attention.items():
            read_BD, weights_BP = attention(fused_BPD, own_BPD, mask_BP)
            read.append(read_BD)
            outputs[f"logits.{name}"] = self.heads[name](read_BD)
            for medium, weights in zip(self.media, weights_BP.split(lengths, dim=1), strict=True):
                outputs[f"attention.{name}.{medium}"] = weights
        for medium, tokens_BPD, mask in zip(self.media, own, masks, strict=True):
            outputs[f"embedding.{medium}"] = F.normalize((tokens_BPD * mask[:, :, None]).sum(1), dim=1)
        outputs["embedding.fused"] = F.normalize(torch.stack(read).mean(0), dim=1)
        return outputs

    def _encode(self, medium: str, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        encoder = self.encoders[medium]
        match medium:
            case "text":
                tokens, mask = encoder(inputs["token_ids"])
            case "image":
                tokens, mask = encoder(inputs["pixels"])
            case _:
                tokens, mask = encoder(inputs["samples"], inputs["sample_counts"])
        return tokens, mask


class Head(nn.Module):
    """What a task's query has read, to its logits; a regression's value leaves in the target's own unit."""

    def __init__(self, width: int, task: Task, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(width, task.outputs),
        )
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.offset: Tensor
        self.scale: Tensor

    def set_unit(self, mean: float, deviation: float) -> None:
        """Of a regression's target on the training split."""
        self.offset.fill_(mean)
        self.scale.fill_(deviation)

    def forward(self, read_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.net(read_BD) * self.scale + self.offset
        return logits_BK


def _gather_rows(tokens_NPD: Tensor, mask_NP: Tensor, rows_B: Tensor) -> tuple[Tensor, Tensor]:
    """The item of each row; one blank item (zeros, mask false) stands behind the last for "absent".

    Where there is no item at all, rows get no tokens, so that fusion does not run over blanks.
    """
    items, length = mask_NP.shape
    # `length if items else 0`, in arithmetic that torch 2.13's exporter neither folds nor mistranslates.
    kept = length - length // (items * MAX_TOKENS + 1)
    places = torch.arange(kept, device=rows_B.device)
    rows = [
        torch.cat([part, part.new_zeros(1, *part.shape[1:])]).index_select(1, places).index_select(0, rows_B)
        for part in (tokens_NPD, mask_NP)
    ]
    return rows[0], rows[1]
