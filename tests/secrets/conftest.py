"""A home of its own for each test, keyring as a machine without a keychain has it, and the trust that a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeychain

from osaurus_nb.config.paths import Paths
from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.keychain import Keychain
from tests.secrets.backends import TRUSTED

#: One process of this home: its environment, and how long its keychain may take.
Process = Callable[..., Secrets]
KEY = "5a" * 32


@pytest.fixture(autouse=True)
def no_keychain() -> Iterator[None]:
    """No test meets the keychain of whoever runs it."""
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeychain())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def use(no_keychain: None) -> Callable[[KeyringBackend], KeyringBackend]:
    """Make this backend the one that keyring uses."""

    def chosen(backend: KeyringBackend) -> KeyringBackend:
        keyring.set_keyring(backend)
        return backend

    return chosen


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home")


@pytest.fixture
def process(paths: Paths) -> Process:
    """The secrets as a process of this home sees them that was started with these variables."""

    def started(*, deadline: float = 5.0, **env: str) -> Secrets:
        return Secrets(paths, env=env, keychain=Keychain(allowed=TRUSTED, deadline=deadline))

    return started


@pytest.fixture
def given(process: Process) -> Secrets:
    """The secrets with a vault whose key is given."""
    return process(OSAURUS_VAULT_KEY=KEY)
