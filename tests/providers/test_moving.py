"""A stored key goes only to the host that it was given for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osaurus_nb.errors import ConfigError
from osaurus_nb.providers import registry
from osaurus_nb.secrets import secrets_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_VAULT_KEY", "7" * 64)
    secrets_of.cache_clear()
    yield
    secrets_of.cache_clear()


def test_a_provider_with_a_stored_key_does_not_move_to_another_host() -> None:
    """Whoever may edit providers cannot have a key sent to himself."""
    registry.add("lab", url="https://api.lab.example/v1", auth="key")
    registry.key("lab", key="sk-canary-0123456789")

    with pytest.raises(ConfigError, match=r"given for api\.lab\.example") as refused:
        registry.edit("lab", url="https://elsewhere.example/v1")

    assert registry.find("lab").host == "api.lab.example"
    assert "sk-canary" not in str(refused.value)


def test_other_changes_and_moves_without_a_key_go_on() -> None:
    """The same host's other path, and a provider whose key comes from the environment."""
    registry.add("lab", url="https://api.lab.example/v1", auth="key")
    moved = registry.edit("lab", url="https://elsewhere.example/v1")
    registry.key("lab", key="sk-canary-0123456789")

    renamed = registry.edit("lab", url="https://elsewhere.example/v2", name="Lab two")

    assert (moved.host, renamed.base_path, renamed.name) == ("elsewhere.example", "/v2", "Lab two")
