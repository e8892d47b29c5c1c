"""The network: an encoder of each medium, fusion, and for each task a query and a head.

Shape letters: N items of one medium, B rows, P tokens of all media side by side, D width, K outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import HEARD, Task, with_one_answer
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.medium import Assets
from triad_training.config.train_config import TrainConfig
from triad_training.layers.expert import Expert, Look
from triad_training.media.encoders import build_encoders, build_experts
from triad_training.media.pretrained.backbone import as_pretrained
from triad_training.media.pretrained.frozen import FrozenTokens, is_frozen
from triad_training.media.registry import present
from triad_training.network.embedding import Embedded, SharedSpace
from triad_training.network.fusion import Fusion, TaskAttention, between_media, roll_out, segment_masks
from triad_training.network.head import Head, HeadAnswer
from triad_training.network.transcript import TranscriptHead

MAX_TOKENS = 2**20  # of one item; any number that none reaches


class Tokens(NamedTuple):
    """Tokens of items (or rows) of one medium, and which of them are valid.

    experts: what the medium's linear experts say of them where they are asked, and how much each token has to
    do with it, [N, E, K] and [N, P, E, T]; see ExpertAnswer.
    """

    tokens_NPD: Tensor
    mask_NP: Tensor
    experts: tuple[Tensor, Tensor] | None = None


class Fused(NamedTuple):
    """Tokens of all media side by side: of their own encoders, and as they know of each other; see Fusion."""

    own_BPD: Tensor
    tokens_BPD: Tensor
    mask_BMP: Tensor
    layers: list[Tensor]


Encoded: TypeAlias = Mapping[MediumName, Tokens]


class TriadModel(nn.Module):
    """Packed media and row indices in, the outputs of the contract out; see contract/outputs.py for both.

    asks_experts: whether linear experts take part. They do once the network itself has learnt.
    """

    def __init__(
        self, config: TrainConfig, spec: PreprocessSpec, tasks: Sequence[Task], assets: Assets
    ) -> None:
        super().__init__()
        self.media = spec.media
        self.inputs = _encoder_inputs(spec)
        width, heads, dropout = config.model.width, config.model.heads, config.model.dropout
        self.encoders = build_encoders(config, spec, assets)
        answering = with_one_answer(tasks)
        self.experts = nn.ModuleDict(
            {
                medium: nn.ModuleDict(experts)
                for medium, experts in build_experts(
                    config, spec, assets, dict(self.encoders.items()), answering
                ).items()
            }
        )
        self.asks_experts = False
        self._frozen: dict[MediumName, FrozenTokens] = {}
        self.fusion = Fusion(width=width, heads=heads, layers=config.model.fusion_layers, dropout=dropout)
        self.medium_marks = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in spec.media})
        self.attention = nn.ModuleDict({task.name: TaskAttention(width) for task in answering})
        ends = list(itertools.accumulate([0, *(task.outputs for task in answering)]))
        self.columns = {task.name: slice(*ends[t : t + 2]) for t, task in enumerate(answering)}
        counts = {"media": len(self.media), "experts": len(self.expert_names)}
        self.heads = nn.ModuleDict({task.name: Head(width, task, dropout, **counts) for task in answering})
        self.transcript_heads = nn.ModuleDict(
            {
                task.name: TranscriptHead(width, task, dropout, context=config.tasks[task.name].context)
                for task in tasks
                if task.type == "transcript"
            }
        )
        self.shared = (
            SharedSpace(self.media, width=width, size=config.model.embedding)
            if config.has_shared_space
            else None
        )

    @property
    def expert_names(self) -> list[tuple[MediumName, str]]:
        """The medium and the name of each linear expert, in the order in which heads take them."""
        return [(medium, name) for medium in self.media for name in self.experts_of(medium)]

    def experts_of(self, medium: MediumName) -> dict[str, Expert]:
        if medium not in self.experts:
            return {}
        experts = self.experts[medium]
        assert isinstance(experts, nn.ModuleDict)
        return {name: expert for name, expert in experts.items() if isinstance(expert, Expert)}

    def without_experts(self) -> TriadModel:
        """Answers by itself again, as it does while it learns."""
        self.asks_experts = False
        for head in self.heads.values():
            assert isinstance(head, Head)
            head.trust_SM.fill_(1)
        return self

    def keep_experts(self, kept: Sequence[tuple[MediumName, str]], spec: PreprocessSpec) -> None:
        """Forgets all others. spec: what is still to be read."""
        self.read(spec)
        places = [place for place, name in enumerate(self.expert_names) if name in kept]
        for task in self.heads:
            self.head(task).keep_experts(places)
        experts = {medium: self.experts_of(medium) for medium in self.media}
        self.experts = nn.ModuleDict(
            {
                medium: nn.ModuleDict({name: each for name, each in named.items() if (medium, name) in kept})
                for medium, named in experts.items()
            }
        )

    def read(self, spec: PreprocessSpec) -> None:
        """Takes the inputs of another spec: without those of experts alone while none is asked."""
        self.inputs = _encoder_inputs(spec)

    def keep_frozen(self, media: Collection[MediumName]) -> None:
        """From now on, what frozen encoders make of items of these media alone is kept; see FrozenTokens."""
        frozen = {medium: encoder for medium, encoder in self.encoders.items() if is_frozen(encoder)}
        self._frozen = {m: FrozenTokens(frozen[m]) for m in self.media if m in media and m in frozen}

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With what fusion looked at, which only explanations need."""
        rows = {medium: inputs[f"{medium}_row"] for medium in self.media}
        return self.answer(self.encode(inputs), rows, fusion=True)

    def encode(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """Every packed item of every medium, once."""
        encoded = {}
        for medium in self.media:
            arrays = [inputs[name] for name in self.inputs[medium]]
            hidden_NPH, tokens = self.look(medium, arrays)
            if self.asks_experts:
                experts = self.experts_of(medium).values()
                answers = [expert(Look(arrays, hidden_NPH, tokens.mask_NP)) for expert in experts]
                if answers:
                    logits_NEK = torch.stack([answer.logits_NK for answer in answers], dim=1)
                    parts_NPET = torch.stack([answer.parts_NPT for answer in answers], dim=2)
                    tokens = Tokens(tokens.tokens_NPD, tokens.mask_NP, (logits_NEK, parts_NPET))
            encoded[medium] = tokens
        return encoded

    def look(self, medium: MediumName, arrays: Sequence[Tensor]) -> tuple[Tensor, Tokens]:
        """The tokens of one medium, before and after they have the width of all others."""
        encoder = self.encoders[medium]
        pretrained = as_pretrained(encoder)
        if pretrained is not None:
            kept = self._frozen.get(medium)
            hidden_NPH, mask_NP = pretrained.hidden(*arrays) if kept is None else kept.hidden(arrays)
            return hidden_NPH, Tokens(pretrained.project(hidden_NPH), mask_NP)
        tokens_NPD, mask_NP = encoder(*arrays)
        return tokens_NPD, Tokens(tokens_NPD, mask_NP)

    def answer(
        self, encoded: Encoded, rows: Mapping[MediumName, Tensor], *, fusion: bool = False
    ) -> dict[str, Tensor]:
        """Outputs for rows that read only the media given here; no transcript where sound is not among them.

        Beside those of the contract, moments.TASK [B, S]: which moments of a transcript there are.
        rows: by medium, which item each row uses. fusion: whether to add the outputs `rollout` and `fusion`.
        """
        gathered = {medium: _gather_rows(encoded[medium], rows_B) for medium, rows_B in rows.items()}
        lengths = [tokens.mask_NP.shape[1] for tokens in gathered.values()]
        fused = self._fuse(gathered)
        places = [self.media.index(medium) for medium in gathered]
        bits_M = torch.tensor([1 << place for place in places], device=fused.mask_BMP.device)
        subset_B = (fused.mask_BMP.any(2) * bits_M).sum(1)

        experts_BEK = self._hear_experts(gathered)

        outputs, read = {}, []
        for t, (name, attention) in enumerate(self.attention.items()):
            reading = attention(fused.tokens_BPD, fused.own_BPD, fused.mask_BMP)
            own_BEK = None if experts_BEK is None else experts_BEK[:, :, self.columns[name]]
            answer: HeadAnswer = self.heads[name](reading, subset_B, places, own_BEK)
            outputs[f"logits.{name}"] = answer.logits_BK
            shares_BM = answer.shares_BM
            read.append((shares_BM[:, :, None] * reading.reads_BMD).sum(1))
            weights_BP = (shares_BM[:, :, None] * reading.weights_BMP).sum(1)
            kinds = {"attention": weights_BP}
            if fusion:
                kinds["rollout"] = roll_out(weights_BP, fused.layers)
            by_medium = {kind: weights.split(lengths, dim=1) for kind, weights in kinds.items()}
            for m, (medium, tokens) in enumerate(gathered.items()):
                seen_BP = self._seen_by_experts(medium, tokens, t, answer.expert_shares_BE)
                for kind, weights in by_medium.items():
                    of_medium = weights[m] if seen_BP is None else weights[m] + seen_BP
                    outputs[f"{kind}.{name}.{medium}"] = of_medium
        outputs |= self._write_down(gathered, fused, fusion=fusion)
        if fusion:
            for number, weights_BHPP in enumerate(fused.layers, start=1):
                outputs[f"fusion.{number}"] = between_media(weights_BHPP, fused.mask_BMP)
        if self.shared is not None:
            embedded = self.shared(fused.own_BPD, fused.mask_BMP, list(gathered))
            vectors = [*embedded.vectors_BME.unbind(1), embedded.fuse()]
        else:
            summed_BMD = fused.mask_BMP.to(fused.own_BPD.dtype) @ fused.own_BPD
            together_BD = torch.stack(read).mean(0) if read else summed_BMD.sum(1)
            parts_BMD = torch.cat([summed_BMD, together_BD[:, None]], dim=1)
            vectors = list(F.normalize(parts_BMD, dim=2).unbind(1))
        for part, vectors_BE in zip((*gathered, "fused"), vectors, strict=True):
            outputs[f"embedding.{part}"] = vectors_BE
        return outputs

    def embed(self, encoded: Encoded, rows: Mapping[MediumName, Tensor]) -> Embedded:
        """The vectors of each row's media in the shared space, which the model must have."""
        assert self.shared is not None
        gathered = {medium: _gather_rows(encoded[medium], rows_B) for medium, rows_B in rows.items()}
        own_BPD = torch.cat([tokens.tokens_NPD for tokens in gathered.values()], dim=1)
        mask_BMP = segment_masks([tokens.mask_NP for tokens in gathered.values()])
        embedded: Embedded = self.shared(own_BPD, mask_BMP, list(gathered))
        return embedded

    def say(self, encoded: Encoded, rows: Mapping[MediumName, Tensor]) -> dict[str, Tensor]:
        """By task, what the network's own reading of each medium adds for rows of these; see Head.say."""
        gathered = {medium: _gather_rows(encoded[medium], rows_B) for medium, rows_B in rows.items()}
        fused = self._fuse(gathered)
        return {
            name: self.head(name).say(attention(fused.tokens_BPD, fused.own_BPD, fused.mask_BMP)).said_BMK
            for name, attention in self.attention.items()
        }

    def _write_down(self, gathered: Encoded, fused: Fused, *, fusion: bool) -> dict[str, Tensor]:
        """Outputs of all transcripts.

        Their attention: a moment of the sound counts as much as it is probable that something is heard there;
        other media take as large a share of that as it has when traced back through the layers of fusion, by
        which alone a transcript hears of them. 0 everywhere where there is no sound.
        """
        if HEARD not in gathered or not self.transcript_heads:
            return {}
        lengths = [tokens.mask_NP.shape[1] for tokens in gathered.values()]
        place = list(gathered).index(HEARD)
        fused_BSD = torch.split(fused.tokens_BPD, lengths, dim=1)[place]
        own_BSD, mask_BS, _ = gathered[HEARD]
        outputs = {}
        for name, head in self.transcript_heads.items():
            outputs[f"logits.{name}"], weights_BS = head(fused_BSD, own_BSD, mask_BS)
            outputs[f"moments.{name}"] = mask_BS
            parts = [
                weights_BS if medium == HEARD else torch.zeros_like(tokens.mask_NP, dtype=weights_BS.dtype)
                for medium, tokens in gathered.items()
            ]
            traced_BP = roll_out(torch.cat(parts, dim=1), fused.layers)
            traced = torch.split(traced_BP, lengths, dim=1)
            share_B1 = traced[place].sum(1, keepdim=True)
            for m, medium in enumerate(gathered):
                outputs[f"attention.{name}.{medium}"] = weights_BS * share_B1 if m == place else traced[m]
                if fusion:
                    outputs[f"rollout.{name}.{medium}"] = traced[m]
        return outputs

    def transcript_head(self, task: str) -> TranscriptHead:
        head = self.transcript_heads[task]
        assert isinstance(head, TranscriptHead)
        return head

    def _fuse(self, gathered: Encoded) -> Fused:
        own_BPD = torch.cat([tokens.tokens_NPD for tokens in gathered.values()], dim=1)
        mask_BMP = segment_masks([tokens.mask_NP for tokens in gathered.values()])
        marked = [tokens.tokens_NPD + self.medium_marks[medium] for medium, tokens in gathered.items()]
        fused_BPD, layers = self.fusion(torch.cat(marked, dim=1), mask_BMP.any(1))
        return Fused(own_BPD, fused_BPD, mask_BMP, layers)

    def _hear_experts(self, gathered: Encoded) -> Tensor | None:
        """[B, E, K]: what all experts say of all tasks, side by side; nothing of media that are not read."""
        if not self.asks_experts or not self.expert_names:
            return None
        rows = next(iter(gathered.values())).mask_NP.shape[0]
        said = []
        for medium in self.media:
            experts = len(self.experts_of(medium))
            heard = gathered[medium].experts if medium in gathered else None
            if heard is not None:
                said.append(heard[0])
            elif experts:
                outputs = max(columns.stop for columns in self.columns.values())
                said.append(self.medium_marks[medium].new_zeros(rows, experts, outputs))
        return torch.cat(said, dim=1)

    def _seen_by_experts(
        self, medium: MediumName, tokens: Tokens, task: int, shares_BE: Tensor
    ) -> Tensor | None:
        """[B, P]: the attention on the tokens of a medium by its experts, which sums to their shares."""
        if tokens.experts is None:
            return None
        places = [place for place, (of, _) in enumerate(self.expert_names) if of == medium]
        own_BE = shares_BE[:, places[0] : places[-1] + 1]
        return (tokens.experts[1][:, :, :, task] * own_BE[:, None]).sum(2)

    def head(self, task: str) -> Head:
        head = self.heads[task]
        assert isinstance(head, Head)
        return head


def _encoder_inputs(spec: PreprocessSpec) -> dict[MediumName, list[str]]:
    return {
        medium.serving.name: [each.name for each in medium.serving.inputs(own)]
        for medium, own in present(spec)
    }


def _gather_rows(items: Tokens, rows_B: Tensor) -> Tokens:
    """The item of each row; one blank item (zeros, mask false) stands behind the last for "absent".

    Where there is no item at all, rows get no tokens, so that fusion does not run over blanks.
    """
    count, length = items.mask_NP.shape
    # `length if count else 0`, in arithmetic that torch 2.13's exporter neither folds nor mistranslates.
    kept = length - length // (count * MAX_TOKENS + 1)
    places = torch.arange(kept, device=rows_B.device)

    def of_rows(part: Tensor) -> Tensor:
        return torch.cat([part, part.new_zeros(1, *part.shape[1:])]).index_select(0, rows_B)

    def of_tokens(part: Tensor) -> Tensor:
        return (
            torch.cat([part, part.new_zeros(1, *part.shape[1:])])
            .index_select(1, places)
            .index_select(0, rows_B)
        )

    experts = items.experts and (of_rows(items.experts[0]), of_tokens(items.experts[1]))
    return Tokens(of_tokens(items.tokens_NPD), of_tokens(items.mask_NP), experts)
