"""The vault as bytes: sealed, checked, opened entry by entry. Pure: no I/O; it refuses what it cannot prove whole.

    OSNBVLT, version (1 byte) | JSON: head and entries | HMAC-SHA256 of all before | SHA-256 of all before

The last digest needs no key: damage is told from a wrong key, and will be in every later version. The keyed check
value in the head tells a wrong key; the HMAC tells that an entry was taken out or put back. Each entry is AES-256-GCM
with its owner and name as associated data, so that it opens under no other name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from osaurus_nb.secrets.values import Hidden, Tier, VaultKey

MAGIC = b"OSNBVLT"
VERSION = 1
_DIGEST = 32
_NONCE = 12

#: An entry's owner (a provider's id) and name.
Place = tuple[str, str]


class Broken(Exception):
    """These bytes are no whole vault of ours."""


class TooNew(Exception):
    """Whole, but of a later version than we read."""


@dataclass(frozen=True, slots=True)
class Scrypt:
    """How a passphrase becomes the key. Bounds are checked before memory is spent on a stranger's numbers."""

    salt: bytes
    n: int = 2**17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        sound = self.n in (2**exponent for exponent in range(14, 21)) and self.r == 8 and 1 <= self.p <= 4
        if not sound or len(self.salt) < 16:
            raise Broken

    def derive(self, passphrase: Hidden) -> VaultKey:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt as Derivation  # noqa: PLC0415 - a heavy door

        return VaultKey(Derivation(salt=self.salt, length=32, n=self.n, r=self.r, p=self.p).derive(passphrase.reveal()))


@dataclass(frozen=True, slots=True)
class Sealed:
    """A vault whose bytes are whole. Nothing of it is in clear but who owns what."""

    id: str
    tier: Tier
    check: bytes
    generation: int = 0
    scrypt: Scrypt | None = None
    entries: Mapping[Place, bytes] = field(default_factory=dict, repr=False)
    #: What the seal was made over, and the seal.
    body: bytes = field(default=b"", repr=False)
    seal: bytes = field(default=b"", repr=False)

    def opened_by(self, key: VaultKey) -> bool:
        return hmac.compare_digest(self.check, key.derive("check", self.id))

    def intact(self, key: VaultKey) -> bool:
        return hmac.compare_digest(self.seal, _seal(self.id, self.body, key))

    def reveal(self, place: Place, key: VaultKey) -> Hidden:
        """The entry in clear. Raises Broken for one that belongs elsewhere."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - a heavy door

        entry = self.entries[place]
        try:
            return Hidden(_cipher(self.id, key).decrypt(entry[:_NONCE], entry[_NONCE:], _bound(place)))
        except (InvalidTag, ValueError):
            raise Broken from None


def begin(id: str, tier: Tier, key: VaultKey, scrypt: Scrypt | None = None) -> Sealed:
    """A vault without entries, for this key."""
    return Sealed(id, tier, key.derive("check", id), scrypt=scrypt)


def seal_entry(vault: Sealed, place: Place, value: Hidden, key: VaultKey) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + bytes(_cipher(vault.id, key).encrypt(nonce, value.reveal(), _bound(place)))


def pack(vault: Sealed, key: VaultKey) -> bytes:
    """The vault as bytes, one generation on."""
    next_one = replace(vault, generation=vault.generation + 1)
    body = MAGIC + bytes([VERSION]) + json.dumps(_fields(next_one), sort_keys=True).encode()
    sealed = body + _seal(vault.id, body, key)
    return sealed + hashlib.sha256(sealed).digest()


def parse(data: bytes) -> Sealed:
    """Raises Broken for anything but a whole vault, TooNew for a whole one of a later version."""
    sealed, digest = data[:-_DIGEST], data[-_DIGEST:]
    if not sealed.startswith(MAGIC) or hashlib.sha256(sealed).digest() != digest:
        raise Broken
    if sealed[len(MAGIC)] != VERSION:
        raise TooNew
    body, seal = sealed[:-_DIGEST], sealed[-_DIGEST:]
    try:
        return replace(_vault(json.loads(body[len(MAGIC) + 1 :])), body=body, seal=seal)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Broken from None


def _fields(vault: Sealed) -> dict[str, Any]:
    owners: dict[str, dict[str, str]] = {}
    for (owner, name), entry in vault.entries.items():
        owners.setdefault(owner, {})[name] = b64encode(entry).decode()
    fields: dict[str, Any] = {"id": vault.id, "key": vault.tier, "check": vault.check.hex(), "entries": owners}
    if vault.scrypt is not None:
        known = vault.scrypt
        fields["scrypt"] = {"salt": known.salt.hex(), "n": known.n, "r": known.r, "p": known.p}
    return fields | {"generation": vault.generation}


def _vault(fields: Mapping[str, Any]) -> Sealed:
    if fields["key"] not in get_args(Tier):
        raise Broken
    scrypt = fields.get("scrypt")
    return Sealed(
        id=str(fields["id"]),
        tier=fields["key"],
        check=bytes.fromhex(fields["check"]),
        generation=int(fields["generation"]),
        scrypt=Scrypt(bytes.fromhex(scrypt["salt"]), scrypt["n"], scrypt["r"], scrypt["p"]) if scrypt else None,
        entries={
            (owner, name): b64decode(entry, validate=True)
            for owner, entries in fields["entries"].items()
            for name, entry in entries.items()
        },
    )


def _seal(vault: str, body: bytes, key: VaultKey) -> bytes:
    return hmac.digest(key.derive("seal", vault), body, "sha256")


def _cipher(vault: str, key: VaultKey) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - a heavy door

    return AESGCM(key.derive("entry", vault))


def _bound(place: Place) -> bytes:
    """No two places give the same bytes."""
    owner, name = place
    return f"{len(owner)}:{owner}/{name}".encode()
