"""The same file for the app and for us, in both directions. The app's files here are synthetic."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import PRESETS, ProviderFile

GOLDEN = Path(__file__).with_name("data") / "app.json"
#: What the app can decode: every key, its kind, and all words that it knows. Anything else loses it the whole file.
REQUIRED = {"id", "name", "host"}
KINDS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "host": str,
    "providerProtocol": str,
    "port": int,
    "basePath": str,
    "customHeaders": dict,
    "secretHeaderKeys": list,
    "authType": str,
    "providerType": str,
    "enabled": bool,
    "autoConnect": bool,
    "timeout": (int, float),
    "disableTimeout": bool,
    "manualModelIds": list,
    "remoteAgentId": str,
    "remoteAgentAddress": str,
}
WORDS = {
    "providerProtocol": {"http", "https"},
    "authType": {"none", "apiKey", "openAICodexOAuth", "xaiOAuth"},
    "providerType": {
        "openai",
        "anthropic",
        "openResponses",
        "gemini",
        "azureOpenAI",
        "openAICodex",
        "osaurus",
        "osaurusRouter",
    },
}


def decoded_by_the_app(row: dict[str, Any]) -> None:
    """Fails where the app would, or where it would drop a key of ours."""
    assert row.keys() >= REQUIRED
    assert row.keys() <= KINDS.keys()
    for key, value in row.items():
        assert isinstance(value, KINDS[key]), key
        assert value in WORDS.get(key, {value} if isinstance(value, str) else [value]), key
    assert str(uuid.UUID(row["id"])).upper() == row["id"]


@pytest.fixture
def file(tmp_path: Path) -> ProviderFile:
    made = ProviderFile(Paths(tmp_path))
    made.path.parent.mkdir()
    return made


def test_all_that_the_app_wrote_is_read(file: ProviderFile) -> None:
    """Its escaped slashes, defaults, manual ids, lifted timeouts and peers; what it alone speaks is shown as such."""
    file.path.write_bytes(GOLDEN.read_bytes())

    contents = file.read()

    assert contents.problems == ()
    claude, ollama, azure, _, peer, grok = contents.providers
    assert (claude.url, claude.format, claude.secret_headers) == (
        "https://api.anthropic.com/v1",
        "anthropic",
        ("X-Proxy-Token",),
    )
    assert claude.headers == {"anthropic-beta": "context-1m-2025-08-07"}
    assert (ollama.slug, ollama.url, ollama.models) == (
        "büro---ollama",
        "http://localhost:11434/v1",
        ("qwen3-8b", "Bücher/model"),
    )
    assert (ollama.enabled, ollama.auto_connect, ollama.timeout, ollama.needs_key) == (False, False, None, False)
    assert (azure.url, azure.format, azure.key_header, azure.timeout) == (
        "https://lab.openai.azure.com/openai/v1",
        "openai",
        "api-key",
        300,
    )
    assert (peer.agent_id, peer.agent_address) == (
        "7C1F5A40-0000-4000-8000-000000000005",
        "0x52908400098527886E0F7030069857D2E4169EE7",
    )
    assert [p.unsupported is None for p in contents.providers] == [True, True, True, False, False, True]
    assert (grok.url, grok.enabled, grok.timeout) == ("https://api.x.ai/v1", True, 60)


def test_nothing_that_the_app_wrote_is_lost_by_our_changes(file: ProviderFile) -> None:
    """Adding, editing, switching and reordering leave each row that was not meant, and each key that was not named."""
    file.path.write_bytes(GOLDEN.read_bytes())
    before = json.loads(GOLDEN.read_bytes())

    file.add("lab", "http://h:9/v1")
    file.remove("lab")
    for provider in file.load():
        file.edit(provider.id, enabled=not provider.enabled)
        file.edit(provider.id, enabled=provider.enabled)
    file.reorder([row["id"] for row in before["providers"]])

    after = json.loads(file.path.read_bytes())
    before["providers"][5]["enabled"] = True  # said, where the default stood
    assert after == before


def test_what_is_changed_in_the_apps_row_is_that_alone(file: ProviderFile) -> None:
    """One field of ours is one field of the app's, and how the app signs in there stays."""
    file.path.write_bytes(GOLDEN.read_bytes())
    before = json.loads(GOLDEN.read_bytes())["providers"][5]

    file.edit("xai", timeout=90, models=["grok-4"], name="Grok", key_env="GROK_KEY")

    after = json.loads(file.path.read_bytes())["providers"][5]
    changed = {"name": "Grok", "timeout": 90, "disableTimeout": False, "manualModelIds": ["grok-4"]}
    assert after == {**before, **changed}


def test_what_we_write_the_app_can_read(file: ProviderFile) -> None:
    """Every preset, every format and every field of ours comes out in the app's keys and words."""
    for preset in PRESETS:
        url = None if preset.host else "https://h.example"
        file.add(preset.title, url, preset=preset, key_env="A_KEY")
    for format in ("openai", "openResponses", "anthropic", "gemini", "ollama"):
        file.add(format, "http://[::1]:8000", format=format, key_header="X-Key", timeout=12.5, models=["m"])
    file.edit("openai", header_env={"X-S": "S_VALUE"}, headers={"X-A": "1"}, timeout=None, auto_connect=False)

    written = json.loads(file.path.read_bytes())

    assert written.keys() == {"providers"}
    assert len(written["providers"]) == len(PRESETS) + 5
    for row in written["providers"]:
        decoded_by_the_app(row)
        assert not re.search("A_KEY|S_VALUE|X-Key", json.dumps(row))


def test_the_file_is_pretty_and_sorted(file: ProviderFile) -> None:
    """A person can read it, and a diff shows what changed."""
    file.add("lab", "http://h:9/v1")

    text = file.path.read_text()

    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_rows_that_the_app_rewrites_keep_what_is_ours(file: ProviderFile) -> None:
    """The app drops keys it does not know; where the key is read, the format and the number of a name are elsewhere."""
    file.add("llamas", "http://localhost:11434", key_env="LLAMA_KEY", auth="key")
    file.add("llamas", "http://localhost:11434", key_header="X-Key")
    written = json.loads(file.path.read_bytes())
    rewritten = [{key: value for key, value in row.items() if key in KINDS} for row in written["providers"]]

    file.path.write_text(json.dumps({"providers": rewritten[::-1]}).replace("/", r"\/"))

    second, first = file.load()
    assert (first.slug, first.format, first.key_env, first.url) == (
        "llamas",
        "ollama",
        "LLAMA_KEY",
        "http://localhost:11434",
    )
    assert (second.slug, second.key_header) == ("llamas-2", "X-Key")
