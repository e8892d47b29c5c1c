"""A million vectors of 256 numbers: real ones, and random ones that lie in clusters as real ones do.

Real: the pictures of MNIST (pixels 0 to 1, their mean taken off) on their first 256 principal components.
Random: CLUSTERS centres, each number of which is normal, and around each as many vectors, normal with SPREAD
times that deviation. Without clusters all of 256 random numbers are almost equally far from each other, which
no data is. All have length 1. Shape letters: N vectors, D numbers.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32

WIDTH, CLUSTERS, SPREAD, SEED = 256, 5_000, 0.8, 0
PIECE = 10_000
QUERIES = 500


def real_vectors(mnist: Path) -> F32:
    """mnist: the folder with train-images-idx3-ubyte.gz. Source of the format: LeCun's MNIST page."""
    data = gzip.decompress((mnist / "train-images-idx3-ubyte.gz").read_bytes())
    pixels_NP = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255
    pixels_NP -= pixels_NP.mean(axis=0)
    _, axes_PP = np.linalg.eigh(pixels_NP.T @ pixels_NP)
    return _unit(pixels_NP @ axes_PP[:, ::-1][:, :WIDTH])


def random_vectors(count: int, seed: int) -> Iterator[F32]:
    """Piece by piece. seed: of the vectors; the clusters are always the same."""
    centres_CD = np.random.default_rng(SEED).standard_normal((CLUSTERS, WIDTH), np.float32)
    rng = np.random.default_rng((SEED, seed))
    for start in range(0, count, PIECE):
        size = min(PIECE, count - start)
        around_ND = SPREAD * rng.standard_normal((size, WIDTH), np.float32)
        yield _unit(centres_CD[rng.integers(0, CLUSTERS, size)] + around_ND)


def _unit(vectors_ND: F32) -> F32:
    normalised: F32 = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return normalised
