"""A private key that signs and is never shown. The only door to `cryptography`'s secp256k1.

Whatever touches the secret is the library's, which takes the same time for every key. What is ours is made of public
values. A signer cannot be printed, copied or pickled.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, NoReturn

from osaurus_nb.errors import ConfigError
from osaurus_nb.identity._points import N, Point, nonce_is_odd
from osaurus_nb.identity.addresses import address_of
from osaurus_nb.identity.envelopes import Prefix, digest, pack

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

KEY_BYTES = 32
#: Agents are numbered with 32 bits.
LAST_AGENT = 2**32 - 1
_AGENT = b"osaurus-agent-v1"
_MISSING = "An identity needs the package 'cryptography', which is not installed: pip install 'osaurus-nb[keys]'."


class CurveMissing(ConfigError):
    """This Python cannot sign: the package `cryptography` is missing, or was built without the curve."""

    code = "signing_unavailable"


class Signer:
    """Signs as `address`, which is all that it tells about its key."""

    __slots__ = ("_key", "_public", "address")

    def __init__(self, secret: bytes) -> None:
        self._key = _load(secret)
        numbers = self._key.public_key().public_numbers()
        self._public: Point = (numbers.x, numbers.y)
        self.address = address_of(self._public)

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a signer holds a private key: it is not copied and not pickled")

    def sign(self, prefix: Prefix, payload: bytes) -> bytes:
        """The 65 bytes of the signature. The same payload has the same one, always (RFC 6979)."""
        hashed = digest(prefix, payload)
        r, s = _sign(self._key, hashed)
        s = min(s, N - s)
        odd = nonce_is_odd(hashed, r, s, self._public)
        # Also a check of the library's work: a faulty signature could give the key away.
        if odd is None:
            raise ConfigError("Signing failed: the signature does not fit the key. Nothing was sent.")
        return pack(r, s, odd=odd)

    def agent(self, index: int) -> Signer:
        """The signer of agent `index`, derived from this key anew each time and kept nowhere."""
        if not 0 <= index <= LAST_AGENT:
            raise ValueError(f"agents are numbered from 0 to {LAST_AGENT}")
        return Signer(hmac.digest(self.secret(), _AGENT + index.to_bytes(4, "big"), "sha512")[:KEY_BYTES])

    def secret(self) -> bytes:
        """The private key itself. For the vault and the recovery phrase; never for a log, a message or a file."""
        return self._key.private_numbers().private_value.to_bytes(KEY_BYTES, "big")


def is_secret(raw: bytes) -> bool:
    """Can these bytes be a private key?"""
    return len(raw) == KEY_BYTES and 0 < int.from_bytes(raw, "big") < N


def _load(secret: bytes) -> EllipticCurvePrivateKey:
    if not is_secret(secret):
        raise ValueError(f"a private key is {KEY_BYTES} bytes, and neither zero nor beyond the order of the curve")
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - a heavy door
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError:
        raise CurveMissing(_MISSING) from None
    try:
        return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1())
    except UnsupportedAlgorithm:
        raise CurveMissing("The installed 'cryptography' has no secp256k1. Reinstall it from its wheel.") from None


def _sign(key: EllipticCurvePrivateKey, hashed: bytes) -> tuple[int, int]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - a heavy door
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        # What is signed is a digest already; SHA-256 names its length, and drives the nonce of RFC 6979.
        form = ec.ECDSA(utils.Prehashed(SHA256()), deterministic_signing=True)
        return utils.decode_dss_signature(key.sign(hashed, form))
    except UnsupportedAlgorithm:
        raise CurveMissing("The installed 'cryptography' cannot sign by RFC 6979. Upgrade it.") from None
