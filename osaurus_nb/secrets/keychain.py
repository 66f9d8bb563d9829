"""The door to the system's keychain. Only real keychains, known by class; none that fails, forgets or writes in clear.

Every call runs in a thread of its own with a deadline, because a system may ask its user before it answers. What a
backend raises is told by its type alone: its text is not ours to vouch for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from osaurus_nb.secrets.background import aside
from osaurus_nb.secrets.values import Hidden

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

#: Our items are found under this service; their account names the vault that the key opens.
SERVICE = "osaurus-nb"
#: The classes that keep a secret, and what their users call them.
ALLOWED: Mapping[str, str] = {
    "keyring.backends.macOS.Keyring": "macOS Keychain",
    "keyring.backends.Windows.WinVaultKeyring": "Windows Credential Manager",
    "keyring.backends.SecretService.Keyring": "Secret Service",
    "keyring.backends.libsecret.Keyring": "Secret Service",
    "keyring.backends.kwallet.DBusKeyring": "KWallet",
}
_NONE = "keyring.backends.fail.Keyring"
#: Long enough for a person to type a password into a prompt.
DEADLINE = 30.0


class KeychainFailed(Exception):
    """The keychain did not do it. The text is a whole sentence that can be shown."""


class Keychain:
    """Reads, writes and forgets single items. A question that waits for its user is not asked a second time."""

    def __init__(self, *, allowed: Iterable[str] = ALLOWED, deadline: float = DEADLINE) -> None:
        self._allowed = frozenset(allowed)
        self._deadline = deadline
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str], tuple[Future[Hidden | None], float]] = {}

    def name(self) -> str:
        """What the keychain here is called. Asks for nothing that is kept in it."""
        known = self._within(lambda: _name(self._backend()))
        return ALLOWED.get(known, known)

    def read(self, account: str, service: str = SERVICE) -> Hidden | None:
        """The item, or None. A question that failed or still waits is answered from memory until `retry`."""
        with self._lock:
            asked = self._asked.get((service, account))
            if asked is None:
                work = aside(lambda: _hidden(self._backend().get_password(service, account)))
                asked = self._asked[service, account] = work, time.monotonic() + self._deadline
        future, until = asked
        value = _outcome(future, max(0.0, until - time.monotonic()))
        with self._lock:
            self._asked.pop((service, account), None)  # it is the caller's now: nothing of it stays here
        return value

    def asked(self, account: str, service: str = SERVICE) -> bool:
        """Does a question for this item still wait, or is its failure remembered?"""
        with self._lock:
            return (service, account) in self._asked

    def write(self, account: str, value: Hidden, service: str = SERVICE) -> None:
        """Set the item, then read it back: some keychains say yes and keep nothing."""

        def work() -> bool:
            backend = self._backend()
            backend.set_password(service, account, value.reveal().decode())
            return _hidden(backend.get_password(service, account)) == value

        if not self._within(work):
            raise KeychainFailed("The system's keychain did not keep what was written to it.")

    def forget(self, account: str, service: str = SERVICE) -> None:
        self._within(lambda: self._backend().delete_password(service, account))

    def retry(self) -> None:
        """Ask again what failed; what still waits for its user goes on waiting."""
        with self._lock:
            self._asked = {item: asked for item, asked in self._asked.items() if not asked[0].done()}

    def _within(self, work: Callable[[], T]) -> T:
        return _outcome(aside(work), self._deadline)

    def _backend(self) -> KeyringBackend:
        """The first trusted one of those that keyring would use; in a chain the others are passed over."""
        try:
            import keyring  # noqa: PLC0415 - a heavy door
            from keyring.backends.chainer import ChainerBackend  # noqa: PLC0415
        except ImportError:
            raise KeychainFailed("The system's keychain needs the package 'keyring', which is not installed.") from None
        chosen = keyring.get_keyring()
        chain = chosen.backends if type(chosen) is ChainerBackend else [chosen]
        for backend in chain:
            if _name(backend) in self._allowed:
                return backend
        raise KeychainFailed(_refusal([_name(backend) for backend in chain]))


def _hidden(value: str | None) -> Hidden | None:
    return None if value is None else Hidden(value)


def _name(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _refusal(found: list[str]) -> str:
    if found in ([], [_NONE]):
        return "No keychain of the system can be reached from here."
    return f"{' and '.join(found)} is set up for keyring, which is no keychain of the system: it was not used."


def _outcome(future: Future[T], seconds: float) -> T:
    """The border to foreign code: whatever it raised becomes one sentence of ours."""
    try:
        fault = future.exception(timeout=seconds)
    except TimeoutError:
        told = "The system's keychain has not answered; it may be waiting for you to allow it, in a window or a prompt."
        raise KeychainFailed(told) from None
    if fault is None:
        return future.result()
    if isinstance(fault, KeychainFailed):
        raise KeychainFailed(str(fault)) from None
    raise KeychainFailed(f"The system's keychain refused ({type(fault).__name__}).") from None
