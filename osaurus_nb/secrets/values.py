"""What is said about secrets, and the wrapper that keeps them out of sight. Nothing here shows one."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Literal, NoReturn

from osaurus_nb.errors import ConfigError

#: Where the vault's key lives: given to this process, in the system's keychain, in someone's head, in a file in clear.
Tier = Literal["given", "keychain", "passphrase", "file"]
#: Of the vault: opened, there but not to be opened, not looked into yet, not there yet, not possible here.
State = Literal["open", "locked", "unopened", "empty", "memory"]

#: The name of a provider's key beside its secret headers.
API_KEY = "apiKey"
#: Owners that begin so are ours; no provider can have their secrets.
OWN = "osaurus."


def header(name: str) -> str:
    """The name under which a provider's secret header is kept."""
    return f"header.{name}"


def numbered(name: str, position: int) -> str:
    """The name of the secret that is asked for where those before it are of no use: `apiKey`, `apiKey.2`, …."""
    return name if position == 1 else f"{name}.{position}"


def position_of(secret: str, name: str) -> int:
    """The position of `secret` among those of `name`; 0 for another one."""
    stem, _, digits = secret.rpartition(".")
    if secret == name:
        return 1
    return int(digits) if stem == name and digits.isdecimal() and digits.isascii() and len(digits) < 4 else 0


class SecretsLocked(ConfigError):
    """The vault is there, or is wanted, but its key is not to be had. The message says how to get it."""

    code = "secrets_locked"


class VaultDamaged(ConfigError):
    """The vault could not be read as one of ours. It was kept under another name; nothing was overwritten."""

    code = "vault_damaged"


class RolledBack(ConfigError):
    """Something is older than what the vault remembers of it."""

    code = "rolled_back"


@dataclass(frozen=True, slots=True)
class SecretsStatus:
    """How secrets are kept here, in words that can be shown. `badge` is there as long as a risk lasts."""

    state: State
    tier: Tier | None
    told: str
    next_step: str | None = None
    badge: str | None = None
    #: Damaged vaults that were put aside, by name, until the user removes them.
    set_aside: tuple[str, ...] = ()
    #: How many secrets end with this process.
    held_in_memory: int = 0

    @property
    def lasting(self) -> bool:
        """Will what is set now be there after this process?"""
        return self.state not in ("memory", "locked")


@dataclass(frozen=True, slots=True)
class Head:
    """How far an append-only store has come: how many rows, and the chained digest of the last one."""

    count: int
    digest: str


class Hidden:
    """Bytes that no repr, no traceback with locals and no pickle shows; zeroed when wiped."""

    __slots__ = ("_bytes", "_wiped")

    def __init__(self, value: bytes | str) -> None:
        self._wiped = False
        self._bytes = bytearray(value.encode() if isinstance(value, str) else value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and hmac.compare_digest(self._bytes, other._bytes)

    __hash__ = None  # type: ignore[assignment]  # mutable, and not to be looked up by

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")

    def __len__(self) -> int:
        return len(self._bytes)

    def is_line(self) -> bool:
        """Is it one line of text, without control characters?"""
        try:
            return self._bytes.decode().isprintable()
        except UnicodeDecodeError:
            return False

    def reveal(self) -> bytes:
        return self._unless_wiped(bytes(self._bytes))

    def wipe(self) -> None:
        """Whoever uses it meanwhile gets an error, never zeros."""
        self._wiped = True
        self._bytes[:] = bytes(len(self._bytes))

    def _unless_wiped(self, made: bytes) -> bytes:
        """Asked after `made` was made: wiping may have begun while it was."""
        if self._wiped:
            raise SecretsLocked("The secrets of this process were wiped. Ask again.")
        return made


class VaultKey(Hidden):
    """The 32 bytes that open a vault. Each purpose, in each vault, gets a key of its own from them."""

    __slots__ = ()

    def __init__(self, value: bytes) -> None:
        if len(value) != 32:
            raise ValueError("a vault's key has 32 bytes")
        super().__init__(value)

    def derive(self, purpose: str, vault: str) -> bytes:
        return self._unless_wiped(hmac.digest(self._bytes, f"osaurus-nb/{purpose}/{vault}".encode(), "sha256"))
