"""Who somebody is: an address made of a public key, in the spelling of EIP-55. Values only."""

from __future__ import annotations

import re

from osaurus_nb.identity._keccak import keccak256
from osaurus_nb.identity._points import Point

_FORM = re.compile(r"0x[0-9a-fA-F]{40}")


def address_of(public: Point) -> str:
    """The address of a public key, spelt with its checksum."""
    x, y = public
    return checksummed("0x" + keccak256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[-20:].hex())


def checksummed(address: str) -> str:
    """The spelling of EIP-55: a letter is large where the digest of the small spelling says so."""
    small = address.lower().removeprefix("0x")
    digest = keccak256(small.encode("ascii")).hex()
    return "0x" + "".join(
        letter.upper() if int(nibble, 16) > 7 else letter for letter, nibble in zip(small, digest, strict=False)
    )


def is_address(text: str) -> bool:
    """Is this an address? One that is spelt in large and small letters must have its checksum right."""
    if not _FORM.fullmatch(text):
        return False
    digits = text[2:]
    return digits in (digits.lower(), digits.upper()) or text == checksummed(text)


def same(a: str, b: str) -> bool:
    """Do both name the same one, however they are spelt?"""
    return a.lower() == b.lower()
