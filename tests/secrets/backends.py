"""Backends as keyring knows them: real classes of the kinds that are met in the wild."""

from __future__ import annotations

import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class InMemory(KeyringBackend):
    """A keychain that keeps what it is told, and counts how often it is asked."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}
        self.reads = 0
        super().__init__()

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self.items.pop((service, username), None)


class Forgetful(InMemory):
    """Says yes to everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Locked(InMemory):
    """Its user pressed Cancel. What it raises holds what it was told."""

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        raise KeyringLocked(f"cancelled {self.items}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(f"cancelled {password}")


class Waiting(InMemory):
    """Shows a prompt, and answers when somebody comes."""

    def __init__(self) -> None:
        self.allowed = threading.Event()
        super().__init__()

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        self.allowed.wait()
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.allowed.wait()
        super().set_password(service, username, password)


class Crowded(InMemory):
    """Lets nobody go on before two have written."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=10)
        super().__init__()

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        self.both.wait()


class PlaintextKeyring(InMemory):
    """As keyrings.alt has one: whatever is set is in a file, in clear."""

    file = Path("keyring_pass.cfg")

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        self.file.write_text(password)


class EncryptedKeyring(PlaintextKeyring):
    """As keyrings.alt has one: it asks for a password on the terminal."""

    def get_password(self, service: str, username: str) -> str | None:
        raise EOFError


TRUSTED = frozenset(
    f"{kind.__module__}.{kind.__qualname__}" for kind in (InMemory, Forgetful, Locked, Waiting, Crowded)
)
