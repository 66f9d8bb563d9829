"""Points of secp256k1, for what everybody may see: which public key made a signature. Refuses to touch a secret.

Python's integers take longer for larger numbers, so that nothing here may ever be given a private key.
"""

from __future__ import annotations

from typing import TypeAlias

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
HALF_N = N // 2

#: Coordinates of a point that is not infinity.
Point: TypeAlias = tuple[int, int]
#: Jacobian: x / z², y / z³. Infinity has z = 0.
_Jacobian: TypeAlias = tuple[int, int, int]

G: Point = (
    0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
    0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
)
_INFINITY: _Jacobian = (1, 1, 0)


def recover(digest: bytes, r: int, s: int, *, odd: bool) -> Point | None:
    """The public key under which (r, s) signs the digest. `odd` is the y of the nonce's point; None: no key does."""
    if not (0 < r < N and 0 < s < N):
        return None
    square = (pow(r, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    nonce = (r, y if y & 1 == odd else P - y)
    inverse = pow(r, -1, N)
    return _sum(-_number(digest) * inverse % N, s * inverse % N, nonce)


def nonce_is_odd(digest: bytes, r: int, s: int, public: Point) -> bool | None:
    """The y of the nonce's point in a signature by this key. None: the signature is not by this key."""
    inverse = pow(s, -1, N)
    nonce = _sum(_number(digest) * inverse % N, r * inverse % N, public)
    # x lies between N and P once in 2**128 signatures; 27 and 28 cannot tell of it.
    return bool(nonce[1] & 1) if nonce is not None and nonce[0] == r else None


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "big")


def _sum(a: int, b: int, point: Point) -> Point | None:
    """a·G + b·point, both at once. None for infinity."""
    base, other = (*G, 1), (*point, 1)
    table = (None, base, other, _add(base, other))
    total = _INFINITY
    for bit in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        total = _double(total)
        term = table[(a >> bit & 1) | (b >> bit & 1) << 1]
        if term is not None:
            total = _add(total, term)
    return _flat(total)


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    yy = y * y % P
    s = 4 * x * yy % P
    m = 3 * x * x % P
    doubled = (m * m - 2 * s) % P
    return doubled, (m * (s - doubled) - 8 * yy * yy) % P, 2 * y * z % P


def _add(a: _Jacobian, b: _Jacobian) -> _Jacobian:
    if a[2] == 0 or b[2] == 0:
        return b if a[2] == 0 else a
    zz_a, zz_b = a[2] * a[2] % P, b[2] * b[2] % P
    x_a, x_b = a[0] * zz_b % P, b[0] * zz_a % P
    y_a, y_b = a[1] * zz_b * b[2] % P, b[1] * zz_a * a[2] % P
    if x_a == x_b:
        return _double(a) if y_a == y_b else _INFINITY
    h, slope = x_b - x_a, y_b - y_a
    hh = h * h % P
    hhh, v = h * hh % P, x_a * hh % P
    x = (slope * slope - hhh - 2 * v) % P
    return x, (slope * (v - x) - y_a * hhh) % P, h * a[2] * b[2] % P


def _flat(point: _Jacobian) -> Point | None:
    if point[2] == 0:
        return None
    inverse = pow(point[2], -1, P)
    return point[0] * inverse**2 % P, point[1] * inverse**3 % P
