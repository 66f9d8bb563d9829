"""What is signed, and by whom it was: a payload in an envelope that says what the signature is for. No secrets here.

The envelope is `0x19`, the prefix, `:` and a line feed, the payload's length in bytes and the payload. A signature is
65 bytes: r, s, and 27 or 28. For each there is a twin with another s that the same key seems to have made; only the
one with the small s is taken.
"""

from __future__ import annotations

from enum import StrEnum

from osaurus_nb.errors import AccessDenied
from osaurus_nb.identity._keccak import keccak256
from osaurus_nb.identity._points import HALF_N, N, recover
from osaurus_nb.identity.addresses import address_of

SIGNATURE_BYTES = 65
_EVEN, _ODD = 27, 28


class Prefix(StrEnum):
    """What a signature is for. One made for one purpose is worth nothing for another."""

    ETHEREUM = "Ethereum Signed Message"
    MESSAGE = "Osaurus Signed Message"
    ACCESS = "Osaurus Signed Access"
    PAIRING = "Osaurus Signed Pairing"
    PAIRING_SERVER = "Osaurus Signed Pairing Server"
    INVITE = "Osaurus Signed Invite"
    SECURE_CHANNEL = "Osaurus Secure Channel"


class Flaw(StrEnum):
    """Why bytes are no signature."""

    LENGTH = "length"
    RECOVERY_BYTE = "recovery_byte"
    RANGE = "range"
    HIGH_S = "high_s"
    NO_KEY = "no_key"


class BadSignature(AccessDenied):
    """These bytes are no signature, whoever made them; `flaw` says why."""

    code = "invalid_signature"

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"The signature is malformed ({flaw.value.replace('_', ' ')}).")
        self.flaw = flaw


def digest(prefix: Prefix, payload: bytes) -> bytes:
    """The 32 bytes that are signed."""
    return keccak256(b"\x19%s:\n%d%s" % (prefix.value.encode("ascii"), len(payload), payload))


def pack(r: int, s: int, *, odd: bool) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([_ODD if odd else _EVEN])


def signer_of(prefix: Prefix, payload: bytes, signature: bytes) -> str:
    """The address whose key signed the payload. Any well-formed signature is by somebody: compare whom. Raises
    BadSignature."""
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(Flaw.LENGTH)
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (_EVEN, _ODD):
        raise BadSignature(Flaw.RECOVERY_BYTE)
    if not (0 < r < N and 0 < s < N):
        raise BadSignature(Flaw.RANGE)
    if s > HALF_N:
        raise BadSignature(Flaw.HIGH_S)
    public = recover(digest(prefix, payload), r, s, odd=v == _ODD)
    if public is None:
        raise BadSignature(Flaw.NO_KEY)
    return address_of(public)
