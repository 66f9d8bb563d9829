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
from osaurus_nb.config.providers.presets import named
from osaurus_nb.errors import ConfigError

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> ProviderFile:
    return ProviderFile(Paths(tmp_path))


def put(file: ProviderFile, text: str) -> None:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_text(text)


def rows(file: ProviderFile) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.path.read_text())["providers"]
    return found


def test_a_provider_is_added_found_and_removed(file: ProviderFile) -> None:
    """What was added is there after reading the file again; what was removed is not, and is handed back."""
    file.add("My Lab", "http://127.0.0.1:8000/v1", key_env="LAB_KEY")

    provider = file.find("my-lab")
    assert (provider.name, provider.slug, provider.url) == ("My Lab", "my-lab", "http://127.0.0.1:8000/v1")
    assert provider.key_variable == "LAB_KEY"
    assert file.remove("My Lab") == provider
    assert list(file.load()) == []


@pytest.mark.parametrize("name", ["KEY_LAB_2024", "HF_TOKEN_10_PRODUCTION", "hf_token", "SK_LIVE_KEY_NUMBER_0001"])
def test_names_that_begin_like_keys_are_names(file: ProviderFile, name: str) -> None:
    """Variables and machines are called all sorts of things."""
    provider = file.add("lab", "https://hf-gpu1.example.com/v1", key_env=name, headers={"X-Team": "key-users-01"})

    assert (provider.key_env, provider.host) == (name, "hf-gpu1.example.com")


def test_every_field_can_be_set_and_edited(file: ProviderFile) -> None:
    """Each field of a form comes back as it was said, from `add` and from `edit` alike."""
    said: dict[str, Any] = {
        "protocol": "https",
        "host": "box.example",
        "port": 8443,
        "base_path": "/api/v2",
        "format": "anthropic",
        "auth": "key",
        "key_env": "BOX_KEY",
        "key_header": "X-Box-Key",
        "enabled": False,
        "auto_connect": False,
        "timeout": 300,
        "headers": {"X-Team": "red"},
        "secret_headers": ["X-Signature"],
        "models": ["m1", "m2"],
    }

    added = file.add("added", **said)
    file.add("edited", "http://other/v1")
    edited = file.edit("edited", **said)

    for found in (added, edited, *file.load()):
        assert found.url == "https://box.example:8443/api/v2"
        assert (found.protocol, found.host, found.port, found.base_path) == (
            "https",
            "box.example",
            8443,
            "/api/v2",
        )
        assert (found.format, found.auth_type, found.key_env, found.key_header) == (
            "anthropic",
            "apiKey",
            "BOX_KEY",
            "X-Box-Key",
        )
        assert (found.enabled, found.auto_connect, found.timeout) == (False, False, 300)
        assert (found.headers, found.secret_headers, found.models) == (
            {"X-Team": "red"},
            ("X-Signature",),
            ("m1", "m2"),
        )


def test_an_edit_leaves_what_it_does_not_name(file: ProviderFile) -> None:
    """Headers are merged, None takes one away, and everything else stays."""
    file.add("lab", "http://h:9/v1", headers={"X-A": "1", "X-B": "2"}, key_env="LAB_KEY", models=["m"], timeout=None)

    changed = file.edit("lab", headers={"x-a": None, "X-C": "3"}, header_env={"X-S": "S_VALUE"})

    assert changed.headers == {"X-B": "2", "X-C": "3"}
    assert (changed.secret_headers, changed.header_env) == (("X-S",), {"X-S": "S_VALUE"})
    assert (changed.key_env, changed.models, changed.timeout, changed.url) == ("LAB_KEY", ("m",), None, "http://h:9/v1")


def test_a_moved_provider_keeps_what_it_speaks(file: ProviderFile) -> None:
    """A new address changes the format only when it says one, or belongs to a vendor that speaks another."""
    file.add("lab", "http://h/v1", format="anthropic")

    assert file.edit("lab", url="http://h2/v1").format == "anthropic"
    assert file.edit("lab", url="http://h2/v1/responses").format == "openResponses"
    assert file.edit("lab", url="https://generativelanguage.googleapis.com").format == "gemini"
    moved = file.edit("lab", url="https://x.openai.azure.com")
    assert (moved.type, moved.format, moved.key_header) == ("azureOpenAI", "openai", "api-key")


@pytest.mark.parametrize(
    "url",
    ["http://localhost:11434", "localhost:11434/", "http://localhost:11434/v1", "http://localhost:11434/api/chat"],
)
def test_a_format_of_ours_is_kept_from_the_app(file: ProviderFile, url: str) -> None:
    """The app finds a type that it knows, at a path where the same server speaks it; we speak Ollama at the root."""
    provider = file.add("llamas", url, format="ollama")

    [row] = rows(file)
    assert (provider.format, provider.url, provider.needs_key) == ("ollama", "http://localhost:11434", False)
    assert (row["providerType"], base_url(row)) == ("openai", "http://localhost:11434/v1")


def test_what_the_app_chose_since_is_what_counts(file: ProviderFile) -> None:
    """Where its user has given the provider another type, the format that we kept is void."""
    file.add("llamas", "http://h:11434", format="ollama")
    content = json.loads(file.path.read_text())
    content["providers"][0]["providerType"] = "anthropic"
    file.path.write_text(json.dumps(content))

    provider = file.find("llamas")

    assert (provider.format, provider.url) == ("anthropic", "http://h:11434/v1")


def test_the_format_of_a_server_can_be_switched(file: ProviderFile) -> None:
    """OpenAI speaks Responses and Azure too; the app's type for Azure stays Azure's."""
    file.add("openai", preset=named("openai"))
    file.add("azure", "https://x.openai.azure.com")

    assert file.edit("openai", format="openResponses").type == "openResponses"
    azure = file.edit("azure", format="openResponses")
    assert (azure.type, azure.format, azure.url) == (
        "azureOpenAI",
        "openResponses",
        "https://x.openai.azure.com/openai/v1",
    )


def test_the_file_is_the_users_alone_and_holds_no_key_name_of_ours(file: ProviderFile) -> None:
    """Mode 0600 for both files and the lock; the app's file has the app's keys only."""
    file.add("lab", "http://h/v1", key_env="LAB_KEY")

    assert {stat.S_IMODE(path.stat().st_mode) for path in file.path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert "LAB_KEY" not in file.path.read_text()


def test_a_missing_file_is_empty_and_stays_missing(file: ProviderFile) -> None:
    """Looking writes nothing."""
    assert list(file.load()) == []
    assert not file.path.exists()


def test_order_is_changed_without_losing_anyone(file: ProviderFile) -> None:
    """Those that are named come first; the rest, and what cannot be read, follows."""
    put(file, json.dumps({"providers": [{"id": "Z", "name": "odd"}]}))
    for name in "abc":
        file.add(name, "http://h/v1")

    order = [provider.name for provider in file.reorder(["c", "a"])]

    assert order == ["c", "a", "b"]
    assert [row["name"] for row in rows(file)] == ["c", "a", "odd", "b"]


def test_equal_names_are_both_usable_and_keep_their_numbers(file: ProviderFile) -> None:
    """The second gets a number, and keeps it when the first is gone, reordered, or taken out by the app."""
    first, second, third = (file.add("Lab", f"http://h{n}/v1") for n in range(3))

    assert [p.slug for p in (first, second, third)] == ["lab", "lab-2", "lab-3"]
    assert len({p.id for p in (first, second, third)}) == 3
    file.reorder(["lab-3"])
    put(file, json.dumps({"providers": [row for row in rows(file) if row["id"] != first.id]}))
    assert [p.slug for p in file.load()] == ["lab-3", "lab-2"]
    with pytest.raises(ConfigError, match="lab-3 or lab-2"):
        file.find("Lab")


def test_numbers_that_the_apps_rows_got_are_remembered(file: ProviderFile) -> None:
    """The app allows two of one name and knows no numbers: reading is enough to fix them, and leaves its file alone."""
    twins = [{"id": id, "name": "Lab", "host": "h"} for id in "AB"]
    put(file, json.dumps({"providers": twins}))

    assert [provider.slug for provider in file.load()] == ["lab", "lab-2"]
    put(file, json.dumps({"providers": twins[1:]}))
    assert [provider.slug for provider in file.load()] == ["lab-2"]
    assert json.loads(file.path.read_text()) == {"providers": twins[1:]}


@pytest.mark.parametrize("name", ["local", "Osaurus", " ", "", "two\nlines"])
def test_a_name_that_is_none_is_refused(file: ProviderFile, name: str) -> None:
    """Reserved names and names that are not one line cannot be given."""
    with pytest.raises(ConfigError):
        file.add(name, "http://h/v1")
    file.add("lab", "http://h/v1")
    if name:
        with pytest.raises(ConfigError):
            file.edit("lab", name=name)
    assert [row["name"] for row in rows(file)] == ["lab"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"headers": {"X-A": "one\r\nX-B: two"}}, "one line"),
        ({"headers": {"X-A": "nul\0"}}, "one line"),
        ({"headers": {"X-A": "ümlaut"}}, "ASCII"),
        ({"headers": {"X A": "1"}}, "letters"),
        ({"headers": {"": "1"}}, "letters"),
        ({"headers": {"Host": "h"}}, "belongs to the connection"),
        ({"headers": {"content-Length": "1"}}, "belongs to the connection"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "belongs to the connection"),
        ({"headers": {"Connection": "close"}}, "belongs to the connection"),
        ({"headers": {"Expect": "x"}}, "belongs to the connection"),
        ({"headers": {"Upgrade": "x"}}, "belongs to the connection"),
        ({"headers": {"Authorization": f"Bearer {CANARY}"}}, "secret-header"),
        ({"headers": {"X-Plain": CANARY}}, "secret-header"),
        ({"secret_headers": ["Host"]}, "belongs to the connection"),
        ({"header_env": {"X-A": CANARY}}, "NAME"),
        ({"key_env": CANARY}, "NAME"),
        ({"key_env": "AIza" + "0" * 30}, "NAME"),
        ({"key_header": "a b"}, "letters"),
        ({"timeout": 0}, "positive"),
        ({"timeout": float("nan")}, "positive"),
        ({"timeout": True}, "positive"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"protocol": "ftp"}, "protocol"),
        ({"host": "a b"}, "host"),
        ({"host": "169.254.169.254"}, "never contacted"),
        ({"base_path": "v1?key=1"}, "path"),
        ({"format": "grpc"}, "openai"),
        ({"auth": "magic"}, "auth"),
        ({"models": "gpt"}, "list"),
        ({"enabled": "yes"}, "True"),
    ],
)
def test_bad_fields_are_refused_before_anything_is_saved(file: ProviderFile, said: dict[str, Any], told: str) -> None:
    """The message says what is wrong and never repeats a secret; neither `add` nor `edit` changes a byte."""
    file.add("lab", "http://h/v1")
    before = file.path.read_bytes()

    with pytest.raises(ConfigError, match=told) as added:
        file.add("other", **{"url": "http://h/v1", **said})
    with pytest.raises(ConfigError, match=told) as edited:
        file.edit("lab", **said)

    assert CANARY not in str(added.value) + str(edited.value)
    assert file.path.read_bytes() == before


def test_a_provider_that_is_not_there_is_told_with_near_names(file: ProviderFile) -> None:
    """For every action."""
    file.add("labor", "http://h/v1")

    for act in (file.find, file.remove, file.edit):
        with pytest.raises(ConfigError, match="Did you mean 'labor'"):
            act("labour")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where the folder should be is a sentence, not a traceback of the system."""
    (tmp_path / "providers").write_text("in the way")

    with pytest.raises(ConfigError, match="Nothing was changed"):
        ProviderFile(Paths(tmp_path)).add("lab", "http://h/v1")


def test_a_vendors_variable_serves_its_own_host_over_tls_alone(file: ProviderFile) -> None:
    """Nobody else is ever sent a vendor's key, and nobody at all where no key is asked for."""
    names = ("at-home", "mirror", "clear", "open")
    file.add("at-home", "https://api.openai.com/v1")
    file.add("mirror", "https://api.openai.com.evil.example/v1", auth="key")
    file.add("clear", "http://api.openai.com/v1")
    file.add("open", "https://api.openai.com/v1", auth="none")

    assert [file.find(name).key_variables for name in names] == [("OPENAI_API_KEY",), (), (), ()]
    assert [file.find(name).exposed for name in names] == [False, False, True, False]


@pytest.mark.parametrize(
    ("row", "base"),
    [
        ({"host": "h"}, "https://h/v1"),
        ({"host": "h/api", "basePath": "v1"}, "https://h/api/v1"),
        ({"host": "h", "basePath": "", "providerProtocol": "http", "port": 80}, "http://h"),
        ({"host": "h:1", "port": 2}, "https://h:1/v1"),
        ({"host": "::1", "port": 8000}, "https://[::1]:8000/v1"),
        ({"host": "[::1]:9", "port": 8000}, "https://[::1]:9/v1"),
        ({"host": "h", "basePath": "//v1//x/"}, "https://h/v1/x"),
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
