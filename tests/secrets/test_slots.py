"""What the vault keeps for rooms of ours: keys that are made once, and how far a store has come."""

from __future__ import annotations

import pytest

from osaurus_nb.identity.identity import Keeper
from osaurus_nb.ports import SecretStore
from osaurus_nb.secrets import API_KEY, Head, RolledBack, Secrets, SecretsLocked
from tests.secrets.conftest import KEY


def test_a_key_is_made_once(process):
    """Every process gets the same 32 bytes; each owner and each name has its own."""
    one, other = process(OSAURUS_VAULT_KEY=KEY), process(OSAURUS_VAULT_KEY=KEY)

    keys = [one.slots.key("ledger"), other.slots.key("ledger"), one.slots.key("gateway"), one.slots.key("ledger", "b")]

    assert [len(key) for key in keys] == [32] * 4
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_key_is_not_made_where_nothing_keeps_it(process):
    """A ledger closed with a key that ends with the process could never be read again."""
    secrets = process()

    with pytest.raises(SecretsLocked, match="Nothing here keeps a key"):
        secrets.slots.key("ledger")


def test_a_key_is_not_made_anew_while_the_vault_is_locked(process):
    """A locked vault is an error, and not a reason for another key."""
    process(OSAURUS_VAULT_KEY=KEY).slots.key("ledger")

    with pytest.raises(SecretsLocked):
        process().slots.key("ledger")


def test_a_head_only_goes_on(given: Secrets, process):
    """An older count, or the same count with another digest, is told as rolled back."""
    given.slots.advance("ledger", Head(3, "c3"))
    given.slots.advance("ledger", Head(7, "a7"))
    given.slots.advance("ledger", Head(7, "a7"))

    for older in (Head(3, "c3"), Head(7, "b7")):
        with pytest.raises(RolledBack, match="ledger"):
            process(OSAURUS_VAULT_KEY=KEY).slots.advance("ledger", older)

    assert process(OSAURUS_VAULT_KEY=KEY).slots.head("ledger") == Head(7, "a7")
    assert given.slots.head("other") is None


def test_slots_serve_the_identity(given: Secrets):
    """The identity's keeper is these slots as they are."""
    keeper: Keeper = given.slots
    keeper.set("identity", "master", "11" * 32)

    kept = keeper.get("identity", "master")
    keeper.delete("identity", "master")

    assert (kept, keeper.get("identity", "master")) == ("11" * 32, None)


def test_secrets_are_a_secret_store(given: Secrets):
    """The port that adapters know."""
    store: SecretStore = given

    assert store.get("P", API_KEY) is None
