"""A key as 24 English words (BIP-39), to be written on paper. Pure; a message never holds a word.

The words are the key's 32 bytes and one of checksum, 11 bits a word: nothing is stretched or derived, so that the words
are the key, in another spelling. `english.txt` is the list of BIP-39, byte for byte.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from osaurus_nb.errors import RequestError
from osaurus_nb.identity.signer import KEY_BYTES, is_secret

WORDS = 24
_BITS = 11
_CHECKSUM_BITS = WORDS * _BITS - KEY_BYTES * 8
#: No two words of the list begin with the same four letters.
_TELLING = 4


class PhraseRejected(RequestError):
    """These words are no key. `near` has, for each word that is not in the list, those of the list that are close.

    `near` counts words from 1. It belongs on the screen of who typed them, and nowhere else.
    """

    code = "recovery_phrase_rejected"

    def __init__(self, message: str, *, near: Mapping[int, Sequence[str]] | None = None) -> None:
        super().__init__(message, param="phrase")
        self.near = {position: tuple(words) for position, words in (near or {}).items()}


def phrase_of(secret: bytes) -> str:
    """The 24 words of a key, with a space between them."""
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a private key is {KEY_BYTES} bytes")
    number = int.from_bytes(secret + _checksum(secret), "big")
    places = range((WORDS - 1) * _BITS, -1, -_BITS)
    return " ".join(_list()[number >> place & (1 << _BITS) - 1] for place in places)


def secret_of(phrase: str) -> bytes:
    """The key that these words are. Spaces, line ends and capital letters do not matter. Raises PhraseRejected."""
    words = unicodedata.normalize("NFKD", phrase).lower().split()
    if len(words) != WORDS:
        raise PhraseRejected(f"A recovery phrase has {WORDS} words; these are {len(words)}.")
    places = {word: place for place, word in enumerate(_list())}
    unknown = {position: _near(word) for position, word in enumerate(words, 1) if word not in places}
    if unknown:
        raise PhraseRejected(_unknown(list(unknown)), near=unknown)
    number = 0
    for word in words:
        number = number << _BITS | places[word]
    raw = number.to_bytes(KEY_BYTES + _CHECKSUM_BITS // 8, "big")
    secret, checksum = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if checksum != _checksum(secret):
        raise PhraseRejected(
            "All the words are in the list, but they do not belong together: one is another word than it was, or two"
            " have changed places."
        )
    if not is_secret(secret):
        raise PhraseRejected("These words are a phrase, but not one of an identity.")
    return secret


def _checksum(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()[: _CHECKSUM_BITS // 8]


def _near(word: str) -> list[str]:
    """Words that may have been meant, the likeliest first."""
    alike = [known for known in _list() if len(word) >= _TELLING and known.startswith(word[:_TELLING])]
    return list(dict.fromkeys([*alike, *get_close_matches(word, _list(), n=3, cutoff=0.7)]))


def _unknown(positions: Sequence[int]) -> str:
    if len(positions) == 1:
        return f"Word {positions[0]} is not in the list of BIP-39. Look at its spelling."
    listed = ", ".join(str(position) for position in positions[:-1])
    return f"Words {listed} and {positions[-1]} are not in the list of BIP-39. Look at their spelling."


@cache
def _list() -> tuple[str, ...]:
    return tuple(files("osaurus_nb.identity").joinpath("english.txt").read_text("ascii").split())
