"""A million vectors of 256 numbers: real ones, and random ones that lie as those of networks do.

Real: the pictures of MNIST (pixels 0 to 1, their mean taken off) on their first 256 principal components.
Random: points of LATENT numbers around as many centres as there are CLUSTERS, centres and deviations normal,
the latter times SPREAD; mapped to 256 numbers by a normal matrix; normal noise of NOISE times the deviation
on top. With 256 independent numbers all points would be almost equally far from each other, which no data is:
graphs lose their way among them (40 500 in 5000 such clusters, looked through at half the width: recall at 10
was 0.43). All have length 1.
Shape letters: N vectors, D numbers, C clusters, L latent numbers.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32

WIDTH, LATENT, SEED = 256, 24, 0
CLUSTERS, SPREAD, NOISE = 5_000, 0.6, 0.1
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
    """Piece by piece. seed: of the vectors; clusters and matrix are always the same."""
    common = np.random.default_rng(SEED)
    centres_CL = common.standard_normal((CLUSTERS, LATENT), np.float32)
    matrix_LD = common.standard_normal((LATENT, WIDTH), np.float32)
    rng = np.random.default_rng((SEED, seed))
    for start in range(0, count, PIECE):
        size = min(PIECE, count - start)
        around_NL = SPREAD * rng.standard_normal((size, LATENT), np.float32)
        points_ND = (centres_CL[rng.integers(0, CLUSTERS, size)] + around_NL) @ matrix_LD
        noise_ND = rng.standard_normal((size, WIDTH), np.float32)
        yield _unit(points_ND + NOISE * np.sqrt(np.float32(LATENT)) * noise_ND)


def _unit(vectors_ND: F32) -> F32:
    normalised: F32 = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return normalised
