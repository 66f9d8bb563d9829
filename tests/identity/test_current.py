"""The identity that there is now: followed across processes, with the vault asked once."""

from __future__ import annotations

import base64

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.current import Current
from osaurus_nb.identity.identity import Identity
from osaurus_nb.secrets import Secrets


@pytest.fixture
def elsewhere(book) -> AccessKeys:
    """The book as another process has it."""
    return AccessKeys(book._file.path.parent)


def test_it_follows_what_other_processes_do(vault, book, elsewhere):
    """Made, replaced, wiped and restored elsewhere, it is so here on the next question."""
    current = Current(vault, book)
    seen = [current.signer()]

    first = Identity.create(vault, elsewhere)
    words = first.phrase()
    seen.append(current.signer().address)
    second = Identity.create(vault, elsewhere, replace=True)
    seen.append(current.signer().address)
    second.wipe()
    seen.append(current.signer())
    Identity.restore(words, vault, elsewhere)
    seen.append(current.signer().address)

    assert seen == [None, first.address, second.address, None, first.address]


@pytest.mark.parametrize("made", [True, False])
def test_the_vault_is_asked_once(vault, book, made):
    """However often one asks, with an identity or without one."""
    asked = []

    class Counting(type(vault)):
        def get(self, provider: str, name: str, /) -> str | None:
            asked.append(name)
            return super().get(provider, name)

    keeper = Counting()
    if made:
        Identity.create(keeper, book)
    current = Current(keeper, book)
    current.identity()
    asked.clear()

    for _ in range(100):
        current.identity()

    assert asked == []


def test_a_lost_book_is_begun_anew_by_the_first_question(vault, book):
    """The vault is what says whether there is an identity."""
    mine = Identity.create(vault, book)
    book._file.path.unlink()

    assert Current(vault, book).signer().address == mine.address
    assert book.address == mine.address


def test_a_vault_that_is_locked_is_told_each_time_and_opens_later(vault, book):
    """It is not taken for a vault without an identity."""
    mine = Identity.create(vault, book)
    locked = [True]

    class Locked(type(vault)):
        def get(self, provider: str, name: str, /) -> str | None:
            if locked:
                raise ConfigError("The vault is locked.")
            return vault.get(provider, name)

    current = Current(Locked(), book)
    for _ in range(2):
        with pytest.raises(ConfigError, match="locked"):
            current.signer()
    locked.clear()

    assert current.signer().address == mine.address


def test_the_real_vault_keeps_an_identity(tmp_path):
    """From one process to the next, in no file in clear, and gone when wiped."""
    env = {"OSAURUS_VAULT_KEY": base64.b64encode(bytes(range(32))).decode()}
    paths = Paths(tmp_path / "home")

    def opened() -> tuple[Secrets, AccessKeys]:
        return Secrets(paths, env=env), AccessKeys(paths.home / "identity")

    secrets, keys = opened()
    made = Identity.create(secrets.slots, keys)
    token, _ = made.issue()
    files = [file.read_bytes() for file in paths.home.rglob("*") if file.is_file()]

    secrets, keys = opened()
    found = Identity.open(secrets.slots, keys)

    assert found.address == made.address
    assert keys.check(token)
    assert not any(made.signer.secret() in data or made.signer.secret().hex().encode() in data for data in files)
    found.wipe()
    secrets, keys = opened()
    assert Identity.open(secrets.slots, keys) is None
