"""Keccak-256 as Ethereum uses it. Not SHA3-256: the standard changed the padding after Ethereum had settled."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_RATE = 136  # bytes taken in before each permutation: 1600 bits of state less twice 256
_LANES = _RATE // 8


def _constants() -> tuple[int, ...]:
    """One for each of the 24 rounds, from the shift register of the specification (section 3.2.5 of FIPS 202)."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _moves() -> tuple[tuple[int, int], ...]:
    """Where rho and pi take each lane from, and how far it is turned on the way: (source, bits) by target."""
    moves = [(0, 0)] * 25
    x, y = 1, 0
    for step in range(24):
        source, (x, y) = x + 5 * y, (y, (2 * x + 3 * y) % 5)
        moves[x + 5 * y] = (source, (step + 1) * (step + 2) // 2 % 64)
    return tuple(moves)


_CONSTANTS, _MOVES = _constants(), _moves()


def keccak256(data: bytes) -> bytes:
    """The 32-byte digest of `data`."""
    missing = _RATE - len(data) % _RATE
    padded = data + (b"\x81" if missing == 1 else b"\x01" + bytes(missing - 2) + b"\x80")
    state = [0] * 25
    for start in range(0, len(padded), _RATE):
        for lane in range(_LANES):
            state[lane] ^= int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def _permute(state: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        columns = [state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20] for x in range(5)]
        parity = [columns[x - 1] ^ _turn(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [_turn(state[source] ^ parity[source % 5], bits) for source, bits in _MOVES]
        state = [
            moved[row + x] ^ (~moved[row + (x + 1) % 5] & moved[row + (x + 2) % 5])
            for row in range(0, 25, 5)
            for x in range(5)
        ]
        state[0] ^= constant
    return state


def _turn(lane: int, bits: int) -> int:
    return ((lane << bits) | (lane >> (64 - bits))) & _MASK
