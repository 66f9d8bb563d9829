"""Keys that the Osaurus app keeps in the keychain can be copied, when asked."""

from __future__ import annotations

import pytest

from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import API_KEY, header
from osaurus_nb.secrets.store import APP_SERVICE
from tests.secrets.backends import InMemory
from tests.secrets.conftest import KEY

ID = "6F1B2C52-0000-4000-8000-000000000001"


@pytest.fixture
def app(use) -> InMemory:
    """A keychain with what the app put there."""
    keychain = use(InMemory())
    keychain.items[APP_SERVICE, f"{ID}.apiKey"] = "sk-canary-app"
    keychain.items[APP_SERVICE, f"{ID}.header.X-Team"] = "canary-team"
    keychain.items[APP_SERVICE, f"{ID}.oauth.tokens"] = '{"accessToken": "canary"}'
    return keychain


def test_the_apps_key_and_headers_are_copied(app, process):
    """They are in our vault afterwards; the app's items stay as they are, its tokens unread."""
    before = dict(app.items)
    secrets = process(OSAURUS_VAULT_KEY=KEY)

    names = secrets.import_from_app(ID.lower(), ["X-Team", "X-Other"])

    assert names == (API_KEY, header("X-Team"))
    assert secrets.get(ID.lower(), API_KEY) == "sk-canary-app"
    assert secrets.get(ID.lower(), header("X-Team")) == "canary-team"
    assert app.items == before
    assert app.reads == 3


def test_nothing_is_taken_unasked(app, process):
    """A look-up never reads the app's items."""
    assert process(OSAURUS_VAULT_KEY=KEY).get(ID, API_KEY) is None
    assert app.reads == 0


def test_a_key_of_ours_is_not_overwritten(app, process):
    """What was typed here stays."""
    secrets = process(OSAURUS_VAULT_KEY=KEY)
    secrets.set(ID, API_KEY, "sk-typed")

    names = secrets.import_from_app(ID, ["X-Team"])

    assert names == (header("X-Team"),)
    assert secrets.get(ID, API_KEY) == "sk-typed"


def test_without_a_keychain_it_says_so(process):
    """Nothing is imported, and the reason is a sentence."""
    with pytest.raises(ConfigError, match="Nothing was imported. No keychain"):
        process(OSAURUS_VAULT_KEY=KEY).import_from_app(ID)
