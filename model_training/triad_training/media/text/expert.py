"""What a linear model reads of a text: words and pairs of words, or runs of characters (service: ngrams.py).

Shape letters: N texts, L words, G n-grams of a text, V known ones and one for all others, T tasks,
K outputs of all tasks side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from triad_serving.contract.tasks import Task
from triad_training.layers.expert import F64, Expert, ExpertAnswer, Features, Look, shares_of

LEAST = 1.0  # norm: that of a single n-gram which every text has; of a text without any, whatever is not 0


class NgramExpert(Expert):
    """TF-IDF of the n-grams of one kind: rows of weights, added up, so that each one's part is exact.

    A text's n-grams count by their inverse document frequency, over the root of the sum of its squares. Every
    occurrence counts: on clinical notes that is as good as the logarithm of their number (macro F1 of six
    tasks 53.4 and 52.8 in per cent), on headlines few occur twice.
    """

    def __init__(self, tasks: Sequence[Task], own: Sequence[bool]) -> None:
        """own: of each known n-gram, whether it is of this kind."""
        rows_V = np.concatenate([[0], np.where(own, np.cumsum(own), 0)])
        super().__init__(tasks, 1 + int(np.sum(own)))
        self.register_buffer("rows", torch.from_numpy(rows_V), persistent=False)
        self.register_buffer("rarity", torch.zeros(len(self.weight)))
        self.rows: Tensor
        self.rarity: Tensor

    def read(self, look: Look) -> Features:
        """Counts of each row; what is not of this kind counts in none."""
        ids_NG = self.rows[look.inputs[-2]].numpy()
        texts = np.repeat(np.arange(len(ids_NG)), ids_NG.shape[1])
        shape = (len(ids_NG), len(self.weight))
        known = ids_NG.ravel() > 0
        ones = np.ones(int(known.sum()))
        return scipy.sparse.csr_matrix((ones, (texts[known], ids_NG.ravel()[known])), shape=shape)

    def stack(self, parts: Sequence[Features]) -> Features:
        return scipy.sparse.vstack([scipy.sparse.csr_matrix((0, len(self.weight))), *parts], format="csr")

    def learn_scale(self, features: Features) -> None:
        """Smoothed as scikit-learn's TfidfVectorizer does."""
        assert not isinstance(features, np.ndarray)
        texts_V = np.bincount(features.indices, minlength=features.shape[1])  # distinct entries of each row
        rarity_V = np.log((1 + features.shape[0]) / (1 + texts_V)) + 1
        self.rarity.copy_(torch.from_numpy(rarity_V))
        self.rarity[0] = 0

    def scale(self, features: Features) -> Features:
        assert not isinstance(features, np.ndarray)
        rarity_V = self.rarity.double().numpy()
        squares_N = features @ rarity_V**2
        weights = scipy.sparse.diags_array(1 / np.sqrt(np.maximum(squares_N, LEAST**2)))
        return scipy.sparse.csr_matrix(weights @ features @ scipy.sparse.diags_array(rarity_V))

    def put(self, task: str, weight_FK: F64, bias_K: F64) -> None:
        weight_VK = self.rarity.double()[:, None] * torch.from_numpy(weight_FK)
        self.weight[:, self.columns[task]] = weight_VK.to(self.weight.dtype)
        self.bias[self.columns[task]] = torch.from_numpy(bias_K).to(self.bias.dtype)

    def forward(self, look: Look) -> ExpertAnswer:
        *_, ids_NG, places_NG = look.inputs
        rows_NG = self.rows[ids_NG]
        rarity_NG = self.rarity[rows_NG]
        norm_N1 = (rarity_NG * rarity_NG).sum(1, keepdim=True).clamp(min=LEAST**2).sqrt()
        said_NGK = self.weight[rows_NG]
        logits_NK = said_NGK.sum(1) / norm_N1 + self.bias
        said_NGT = (said_NGK * self.likeliest(logits_NK)[:, None]).abs() @ self.task_KT
        tokens_L1 = torch.arange(look.mask_NP.shape[1], device=ids_NG.device)[:, None]
        at_NLG = (places_NG[:, None] == tokens_L1).to(said_NGT.dtype)
        return ExpertAnswer(logits_NK, shares_of(at_NLG @ said_NGT, look.mask_NP))
