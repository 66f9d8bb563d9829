"""Keccak-256: the published digests, and lengths around a block."""

from __future__ import annotations

import hashlib

import pytest

from osaurus_nb.identity._keccak import _permute, keccak256

#: Published, or made with an independent implementation.
DIGESTS = {
    b"": "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
    b"abc": "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
    b"The quick brown fox jumps over the lazy dog": "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15",
    b"The quick brown fox jumps over the lazy dog.": "578951e24efd62a3d63a86f7cd19aaa53c898fe287d2552133220370240b572d",
}


@pytest.mark.parametrize("data", DIGESTS)
def test_known_digests(data):
    """The digests that Ethereum's own tools give."""
    assert keccak256(data).hex() == DIGESTS[data]


def test_it_is_not_the_standard_sha3():
    """The standard's padding gives other digests; taking one for the other would give wrong addresses."""
    assert keccak256(b"abc") != hashlib.sha3_256(b"abc").digest()


@pytest.mark.parametrize("length", [0, 1, 8, 134, 135, 136, 137, 271, 272, 273, 1000])
def test_the_permutation_is_the_standards_own(length):
    """With the padding of SHA3-256 it is SHA3-256, at every length around a block's."""
    data = bytes(index % 251 for index in range(length))

    missing = 136 - length % 136
    padding = b"\x86" if missing == 1 else b"\x06" + bytes(missing - 2) + b"\x80"

    assert absorb(data + padding) == hashlib.sha3_256(data).digest()


def absorb(padded: bytes) -> bytes:
    state = [0] * 25
    for start in range(0, len(padded), 136):
        for lane in range(17):
            state[lane] ^= int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])
