"""A vault's key as text, and a passphrase as bytes. Pure; what cannot be read is named, never shown."""

from __future__ import annotations

import binascii
import unicodedata
from base64 import b64decode, b64encode

from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.values import Hidden, SecretsLocked, VaultKey

_SHORTEST = 8


def text(key: VaultKey) -> Hidden:
    return Hidden(b64encode(key.reveal()))


def key(text: Hidden, what: str) -> VaultKey:
    """From 64 hex digits or base64."""
    try:
        return VaultKey(_bytes(text.reveal().strip()))
    except ValueError:
        raise SecretsLocked(f"{what} is none: it should be 32 bytes, as 64 hex digits or in base64.") from None


def _bytes(text: bytes) -> bytes:
    return binascii.unhexlify(text) if len(text) == 64 else b64decode(text, validate=True)


def normal(passphrase: Hidden) -> Hidden:
    """The same characters, whichever keyboard composed them."""
    return Hidden(unicodedata.normalize("NFC", passphrase.reveal().decode()))


def fit(passphrase: Hidden | None) -> Hidden:
    typed = normal(passphrase or Hidden(""))
    if len(typed.reveal().decode()) < _SHORTEST:
        raise ConfigError(f"A passphrase needs {_SHORTEST} characters or more; four random words are a good one.")
    return typed
