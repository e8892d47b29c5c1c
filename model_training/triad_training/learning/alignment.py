"""A training term that draws each task's attention to the media towards what they truly contribute.

Shape letters: E examples, M media that the model reads, S coalitions (see attribution), K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from triad_serving.contract.outputs import MediumName, media_subsets
from triad_serving.contract.tasks import Task
from triad_serving.explanation.shapley import coalition_of, shapley_values
from triad_training.layers import distributed
from triad_training.network.model import Encoded, Tokens, TriadModel

Rows: TypeAlias = Mapping[MediumName, Tensor]

SHARE = 0.25  # of a batch's examples that are looked at: every subset of their media is asked


def alignment_loss(model: TriadModel, tasks: Sequence[Task], encoded: Encoded, rows: Rows) -> Tensor:
    """How badly the order of the media by attention fits their order by Shapley value; mean over tasks.

    For every pair of media, softplus of the difference of log attention in the wrong direction (RankNet,
    Burges et al. 2005), weighted by the difference of their Shapley values within the example. The Shapley
    values are constants and so are the encoders' tokens: only where a task looks is learnt from this.
    """
    chosen = _complete(encoded, rows)
    still: Encoded = {
        medium: Tokens(tokens.tokens_NPD.detach(), tokens.mask_NP) for medium, tokens in encoded.items()
    }
    if len(model.media) < 2:
        return next(iter(still.values())).tokens_NPD.new_zeros(())
    with torch.no_grad():
        answers = {
            subset: model.answer(
                {medium: still[medium] for medium in subset}, {medium: chosen[medium] for medium in subset}
            )
            for subset in media_subsets(model.media)
        }
    outputs = model.answer(still, chosen)
    losses = []
    for task in tasks:
        logits = {subset: answer[f"logits.{task.name}"] for subset, answer in answers.items()}
        attention_EM = torch.stack(
            [outputs[f"attention.{task.name}.{medium}"].sum(1) for medium in model.media], dim=1
        )
        losses.append(_ranking_loss(attention_EM, contributions(task, logits, model.media)))
    return torch.stack(losses).mean()


def contributions(
    task: Task, logits: Mapping[tuple[MediumName, ...], Tensor], media: Sequence[MediumName]
) -> Tensor:
    """Shapley values of the media, [E, M], as attribution.attribute defines them; of a regression, |values|.

    logits: of every subset of the media, [E, K]. Probabilities are not calibrated yet: that comes last.
    """
    full_EK = logits[tuple(media)].float()
    prior_K = full_EK.new_tensor(task.prior)
    values_ES = full_EK.new_zeros(len(full_EK), 1 << len(media))
    values_ES[:, 0] = _value(task, None, full_EK, prior_K)
    for subset in media_subsets(media):
        values_ES[:, coalition_of(subset, media)] = _value(task, logits[subset].float(), full_EK, prior_K)
    phi_EM = torch.from_numpy(shapley_values(values_ES.double().cpu().numpy())).to(full_EK)
    return phi_EM.abs() if task.type == "regression" else phi_EM


def _value(task: Task, logits_EK: Tensor | None, full_EK: Tensor, prior_K: Tensor) -> Tensor:
    """What a coalition achieves, [E]: None is the empty one, which achieves the prior."""
    if task.type == "regression":
        return prior_K.expand(len(full_EK)) if logits_EK is None else logits_EK[:, 0]
    if task.type == "classification":
        probability_EK = prior_K.expand_as(full_EK) if logits_EK is None else logits_EK.softmax(1)
        return probability_EK.gather(1, full_EK.argmax(1, keepdim=True))[:, 0]
    probability_EK = prior_K.expand_as(full_EK) if logits_EK is None else logits_EK.sigmoid()
    return torch.where(full_EK > 0, probability_EK, 1 - probability_EK).mean(1)


def _ranking_loss(attention_EM: Tensor, phi_EM: Tensor) -> Tensor:
    pair_a, pair_b = torch.triu_indices(phi_EM.shape[1], phi_EM.shape[1], offset=1)
    log_EM = attention_EM.clamp(min=1e-6).log()
    difference_EP = phi_EM[:, pair_a] - phi_EM[:, pair_b]
    weight_EP = difference_EP.abs() / difference_EP.abs().sum(1, keepdim=True).clamp(min=1e-6)
    wrong_EP = F.softplus(-difference_EP.sign() * (log_EM[:, pair_a] - log_EM[:, pair_b]))
    return distributed.mean((weight_EP * wrong_EP).sum(1))


def _complete(encoded: Encoded, rows: Rows) -> Rows:
    """The rows of the first SHARE of the batch's examples that have every medium."""
    complete_B = torch.stack([rows[m] < len(encoded[m].mask_NP) for m in rows]).all(0)
    first = distributed.first_of_all(complete_B, SHARE)
    return {medium: row_B[first] for medium, row_B in rows.items()}
