"""The providers' file: shared with the app, never a secret in it, never lost."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile, base_url
from osaurus_nb.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> ProviderFile:
    return ProviderFile(Paths(tmp_path))


def test_a_provider_is_added_found_and_removed(file: ProviderFile) -> None:
    """What was added is there after reading the file again; what was removed is not."""
    file.add("My Lab", "http://127.0.0.1:8000/v1", key_env="LAB_KEY")

    provider = file.find("my-lab")
    assert (provider.name, provider.slug, provider.url) == ("My Lab", "my-lab", "http://127.0.0.1:8000/v1")
    assert provider.key_variable == "LAB_KEY"
    file.remove("My Lab")
    assert file.load() == []


@pytest.mark.parametrize(
    "url",
    ["http://localhost:11434", "localhost:11434/", "http://localhost:11434/v1", "http://localhost:11434/api/chat"],
)
def test_a_format_of_ours_is_kept_from_the_app(file: ProviderFile, url: str) -> None:
    """The app finds a type that it knows, at a path where the same server speaks it; we speak Ollama at the root."""
    provider = file.add("llamas", url, format="ollama")

    [row] = json.loads(file.path.read_text())["providers"]
    assert (provider.format, provider.url, provider.auth) == ("ollama", "http://localhost:11434", False)
    assert (row["providerType"], base_url(row)) == ("openai", "http://localhost:11434/v1")


def test_what_the_app_chose_since_is_what_counts(file: ProviderFile) -> None:
    """Where its user has given the provider another type, the format that we kept is void."""
    file.add("llamas", "http://h:11434", format="ollama")
    content = json.loads(file.path.read_text())
    content["providers"][0]["providerType"] = "anthropic"
    file.path.write_text(json.dumps(content))

    provider = file.find("llamas")

    assert (provider.format, provider.url) == ("anthropic", "http://h:11434/v1")


def test_the_file_is_the_users_alone_and_holds_no_key_name_of_ours(file: ProviderFile) -> None:
    """Mode 0600; the app's file has the app's keys only."""
    file.add("lab", "http://h/v1", key_env="LAB_KEY")

    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert "LAB_KEY" not in file.path.read_text()


def test_what_the_app_wrote_is_kept(file: ProviderFile) -> None:
    """Unknown keys and unknown provider types survive our changes."""
    row = {"id": "A", "name": "theirs", "host": "h", "providerType": "someday", "colour": "green"}
    file.path.parent.mkdir(parents=True)
    file.path.write_text(json.dumps({"providers": [row], "version": 9}))

    file.add("lab", "http://h/v1")

    content = json.loads(file.path.read_text())
    assert content["providers"][0] == row
    assert content["version"] == 9


def test_a_corrupt_file_is_set_aside_and_told(file: ProviderFile) -> None:
    """It is renamed, never overwritten, and the next read starts empty."""
    file.path.parent.mkdir(parents=True)
    file.path.write_text("{ half")

    with pytest.raises(ConfigError, match="corrupt"):
        file.load()

    assert [path.read_text() for path in file.path.parent.glob("*.corrupt-*")] == ["{ half"]
    assert file.load() == []


def test_equal_names_get_numbered_slugs(file: ProviderFile) -> None:
    """The app allows two providers of one name; each can still be named."""
    rows = [{"id": id, "name": "Lab", "host": "h"} for id in "AB"]
    file.path.parent.mkdir(parents=True)
    file.path.write_text(json.dumps({"providers": rows}))

    assert [provider.slug for provider in file.load()] == ["lab", "lab-2"]


@pytest.mark.parametrize("name", ["local", "Osaurus", "taken", "Taken", " "])
def test_a_name_that_is_taken_is_refused(file: ProviderFile, name: str) -> None:
    """Reserved and used names cannot be added."""
    file.add("taken", "http://h/v1")

    with pytest.raises(ConfigError):
        file.add(name, "http://h/v1")


@pytest.mark.parametrize(
    "url", ["", "ftp://h", "http://", "http://user:pw@h/v1", "http://h/v1?key=x", "http://h:99999"]
)
def test_what_is_no_url_is_refused(file: ProviderFile, url: str) -> None:
    """A URL that is none, or that carries a key, is not stored."""
    with pytest.raises(ConfigError):
        file.add("lab", url)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1"),
        ("https://api.example.com/", "https://api.example.com"),
        ("localhost:1234/v1", "http://localhost:1234/v1"),
        ("api.example.com/v1", "https://api.example.com/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("https://h:443/v1", "https://h/v1"),
    ],
)
def test_a_pasted_url_becomes_a_base_url(file: ProviderFile, url: str, base: str) -> None:
    """Endpoint paths are taken off; a bare host gets the scheme that fits where it is."""
    assert file.add("lab", url).url == base


@pytest.mark.parametrize(
    ("row", "base"),
    [
        ({"host": "h"}, "https://h/v1"),
        ({"host": "h/api", "basePath": "v1"}, "https://h/api/v1"),
        ({"host": "h", "basePath": "", "providerProtocol": "http", "port": 80}, "http://h"),
        ({"host": "h:1", "port": 2}, "https://h:1/v1"),
    ],
)
def test_the_apps_fields_become_a_base_url(row: dict[str, Any], base: str) -> None:
    """Host, its path, port and base path are joined as parts."""
    assert base_url(row) == base


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("localhost", "loopback"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("192.168.1.4", "lan"),
        ("box.local", "lan"),
        ("100.100.1.1", "tailnet"),
        ("api.openai.com", "cloud"),
        ("8.8.8.8", "cloud"),
        ("localhost.example.com", "cloud"),
    ],
)
def test_where_a_host_is(host: str, kind: str) -> None:
    """This machine, its networks, or the cloud; an unknown name is cloud."""
    assert endpoint_class(host) == kind
