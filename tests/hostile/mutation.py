"""Breaks a file: bits, bytes, lengths, lies in its header, pieces of other files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

HEADER = 80  # bytes, where most of what decides stands
# What a number in a header is replaced by, in as many bytes.
ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MOST_BYTES = 300_000  # of what comes out

Rng = np.random.Generator
Mutation = Callable[[bytearray, Sequence[bytes], Rng], None]


def mutate(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """One to four changes. others: files to take pieces from."""
    broken = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        MUTATIONS[int(rng.integers(len(MUTATIONS)))](broken, others, rng)
    return bytes(broken[:MOST_BYTES])


def _flip_bits(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    for _unused in range(int(rng.integers(1, 9)) if data else 0):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


def _flip_bits_of_the_header(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    for _unused in range(int(rng.integers(1, 4)) if data else 0):
        data[int(rng.integers(min(len(data), HEADER)))] ^= 1 << int(rng.integers(8))


def _lie(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    width = int(rng.choice([1, 2, 4, 8]))
    reach = HEADER if rng.random() < 0.7 else len(data)
    at = int(rng.integers(max(min(reach, len(data)) - width, 0) + 1))
    value = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))] & (256**width - 1)
    data[at : at + width] = value.to_bytes(width, "big" if rng.random() < 0.5 else "little")


def _truncate(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    del data[int(rng.integers(len(data) + 1)) :]


def _cut_out(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start, end = _span(data, rng)
    del data[start:end]


def _repeat(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start, end = _span(data, rng)
    data[end:end] = data[start:end] * min(int(rng.choice([1, 2, 50, 1000])), MOST_BYTES // (end - start + 1))


def _overwrite(data: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start, end = _span(data, rng)
    filler = (b"\0", b"\xff", rng.bytes(1))[int(rng.integers(3))]
    data[start:end] = filler * (end - start)


def _splice(data: bytearray, others: Sequence[bytes], rng: Rng) -> None:
    other = others[int(rng.integers(len(others)))]
    start, end = _span(bytearray(other), rng)
    at = int(rng.integers(len(data) + 1))
    data[at : at + (end - start if rng.random() < 0.5 else 0)] = other[start:end]


def _change_heads(data: bytearray, others: Sequence[bytes], rng: Rng) -> None:
    length = int(rng.integers(1, HEADER))
    data[:length] = others[int(rng.integers(len(others)))][:length]


def _span(data: bytearray, rng: Rng) -> tuple[int, int]:
    start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    return start, end


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits, _flip_bits_of_the_header, _lie, _lie, _truncate, _cut_out, _repeat, _overwrite, _splice,
    _change_heads,
)  # fmt: skip
