"""Pasted URLs: what they mean, and what is wrong with those that mean nothing."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.providers.addresses import base_url, parse
from osaurus_nb.errors import ConfigError

CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "base", "format"),
    [
        ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1", "openai"),
        ("https://api.example.com/v1/completions", "https://api.example.com/v1", "openai"),
        ("https://api.example.com/v1/responses", "https://api.example.com/v1", "openResponses"),
        ("https://api.example.com/v1/responses/compact", "https://api.example.com/v1", "openResponses"),
        ("https://api.example.com/v1/messages", "https://api.example.com/v1", "anthropic"),
        ("https://api.example.com/v1/messages/count_tokens?beta=true", "https://api.example.com/v1", "anthropic"),
        ("https://h.example/v1beta/models/gemini-3-pro:generateContent", "https://h.example/v1beta", "gemini"),
        ("https://h.example/v1beta/models/g:streamGenerateContent?alt=sse", "https://h.example/v1beta", "gemini"),
        ("http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434", "ollama"),
        ("http://127.0.0.1:11434/api/tags", "http://127.0.0.1:11434", "ollama"),
        ("https://openwebui.example/api/chat/completions", "https://openwebui.example/api", "openai"),
        ("https://api.example.com/v1/models", "https://api.example.com/v1", None),
        ("https://api.example.com/v1/models/vendor/model", "https://api.example.com/v1", None),
        ("https://api.example.com/v1/embeddings", "https://api.example.com/v1", None),
        ("https://api.example.com/", "https://api.example.com", None),
        ("  <https://api.example.com/v1/> ", "https://api.example.com/v1", None),
        ("HTTPS://API.Example.COM:443//v1//", "https://api.example.com/v1", None),
        ("localhost:1234/v1", "http://localhost:1234/v1", None),
        ("api.example.com/v1", "https://api.example.com/v1", None),
        ("gpu-box:8000/v1", "http://gpu-box:8000/v1", None),
        ("192.168.1.4:8000", "http://192.168.1.4:8000", None),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", None),
        ("::1", "http://[::1]", None),
        ("http://[2001:DB8::0:1]/v1", "http://[2001:db8::1]/v1", None),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1", None),
        ("http://host/a b".replace(" ", "%20"), "http://host/a%20b", None),
        ("http://my_service:8000/v1", "http://my_service:8000/v1", None),
    ],
)
def test_a_pasted_url_says_where_and_what(url: str, base: str, format: str | None) -> None:
    """Endpoint paths are taken off and tell the format; a bare host gets the scheme that fits where it is."""
    found = parse(url)

    assert (found.url, found.format) == (base, format)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("ftp://h/v1", "scheme is 'ftp'"),
        ("wss://h/v1", "scheme is 'wss'"),
        ("http://", "no host"),
        ("https:///v1", "no host"),
        ("http:h", "port"),
        ("http://h:99999/v1", "port must be a number from 1 to 65535"),
        ("http://h:0/v1", "port"),
        ("http://h:x/v1", "port"),
        ("http://h:-1/v1", "port"),
        ("http://[::1/v1", "brackets"),
        ("http://[::zz]/v1", "brackets"),
        ("http://h h/v1", "space"),
        ("curl https://api.example.com/v1", "space"),
        ("http:\\\\h\\v1", "backslash"),
        ("http://-h-/v1", "host"),
        ("http://a..b/v1", "host"),
        ("http://h!/v1", "host"),
        (f"http://{'a' * 64}.example/v1", "host"),
        ("http://user:pw@h/v1", "before '@'"),
        ("http://h/v1?key=x", "query"),
        ("http://h/v1?api-version=1&code=x", "query"),
        ("http://h/v1#models", "#"),
        ("http://h/v1/../admin", r"\.\."),
        ("http://h/v1/%2e%2e/admin", r"\.\."),
        ("0.0.0.0:11434", "127.0.0.1"),
        ("http://[::]:8000", "127.0.0.1"),
        ("http://169.254.169.254/v1", "never contacted"),
        ("http://[::ffff:169.254.169.254]/v1", "never contacted"),
        ("http://[fe80::1%25eth0]/v1", "never contacted"),
        ("http://224.0.0.1/v1", "never contacted"),
    ],
)
def test_an_error_names_the_part_that_is_wrong(url: str, told: str) -> None:
    """Not "invalid URL", but which part and what to do."""
    with pytest.raises(ConfigError, match=told):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        CANARY,
        f"https://{CANARY}",
        f"https://user:{CANARY}@h/v1",
        f"https://{CANARY}@h/v1",
        f"https://h/v1?key={CANARY}",
        f"https://h/v1?{CANARY}",
        f"https://h/v1#{CANARY}",
        f"h:{CANARY}",
        f"{CANARY}://h",
    ],
)
def test_a_key_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    """Wherever it was pasted."""
    with pytest.raises(ConfigError) as caught:
        parse(url)

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "base", "format", "variable"),
    [
        ("api.openai.com", "https://api.openai.com/v1", "openai", "OPENAI_API_KEY"),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1", "openResponses", "OPENAI_API_KEY"),
        ("https://api.anthropic.com", "https://api.anthropic.com/v1", "anthropic", "ANTHROPIC_API_KEY"),
        (
            "https://api.anthropic.com/v1/chat/completions",
            "https://api.anthropic.com/v1",
            "openai",
            "ANTHROPIC_API_KEY",
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai/",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "openai",
            "GEMINI_API_KEY",
        ),
        ("https://api.deepseek.com", "https://api.deepseek.com/v1", "openai", "DEEPSEEK_API_KEY"),
        (
            "https://api.deepseek.com/anthropic",
            "https://api.deepseek.com/anthropic/v1",
            "anthropic",
            "DEEPSEEK_API_KEY",
        ),
        ("openrouter.ai", "https://openrouter.ai/api/v1", "openai", "OPENROUTER_API_KEY"),
        ("https://lab.openai.azure.com/", "https://lab.openai.azure.com/openai/v1", "openai", "AZURE_OPENAI_API_KEY"),
        (
            "https://lab.services.ai.azure.com/anthropic/v1/messages",
            "https://lab.services.ai.azure.com/anthropic/v1",
            "anthropic",
            "AZURE_OPENAI_API_KEY",
        ),
        (
            "https://lab.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            "https://lab.services.ai.azure.com/openai/v1",
            "openai",
            "AZURE_OPENAI_API_KEY",
        ),
        ("http://localhost:11434", "http://localhost:11434", "ollama", None),
        ("http://192.168.1.9:11434/api", "http://192.168.1.9:11434", "ollama", None),
        ("http://localhost:11434/v1", "http://localhost:11434/v1", "openai", None),
        ("http://localhost:1234", "http://localhost:1234/v1", "openai", None),
        ("https://api.example.com/v1", "https://api.example.com/v1", "openai", None),
    ],
)
def test_a_known_host_is_recognised(tmp_path: Path, url: str, base: str, format: str, variable: str | None) -> None:
    """The preset adds what the URL does not say: base path, format, and where its users keep the key."""
    provider = ProviderFile(Paths(tmp_path)).add("it", url)

    assert (provider.url, provider.format, provider.key_variable) == (base, format, variable)


def test_azures_older_address_names_a_deployment(tmp_path: Path) -> None:
    """The deployment in the path becomes the model to name; the dated version is not needed any more."""
    old = "https://lab.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"

    provider = ProviderFile(Paths(tmp_path)).add("azure", old)

    assert provider.url == "https://lab.openai.azure.com/openai/v1"
    assert (provider.models, provider.key_header, provider.lists_models) == (("my-gpt",), "api-key", False)


_LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
_HOSTS = st.one_of(
    st.lists(_LABELS, min_size=2, max_size=4).map(".".join).filter(lambda host: host[-1].isalpha()),
    st.ip_addresses(v=4).filter(lambda ip: not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)).map(str),
    st.ip_addresses(v=6)
    .filter(lambda ip: not (ip.ipv4_mapped or ip.is_link_local or ip.is_multicast or ip.is_unspecified))
    .map(lambda ip: f"[{ip.compressed}]"),
)
_SEGMENTS = st.text(string.ascii_letters + string.digits + "-_~", min_size=1, max_size=10).filter(
    lambda part: part not in {"models", "messages", "responses", "completions", "embeddings", "decisions", "systemone"}
)
_PATHS = st.lists(_SEGMENTS, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))


@given(st.sampled_from(["http", "https"]), _HOSTS, st.none() | st.integers(1, 65535), _PATHS)
def test_every_sound_url_comes_back_from_the_apps_fields(scheme: str, host: str, port: int | None, path: str) -> None:
    """Taken apart, written as the app writes it, and put together again, it is the same place."""
    url = f"{scheme}://{host}{f':{port}' if port else ''}{path}"

    found = parse(url)
    row = {"providerProtocol": found.protocol, "host": found.host, "basePath": found.path, "port": found.port}

    assert base_url(row) == found.url
    assert found.url.replace(":80/", "/").replace(":443/", "/") == url.replace(":80/", "/").replace(":443/", "/") or (
        port in (80, 443)
    )


@given(st.text(max_size=60) | st.text("htps:/[]@?#.%1a\\ \n", max_size=40))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    """Nothing else is ever raised, and what was understood is understood again."""
    try:
        found = parse(text)
    except ConfigError as error:
        assert str(error)
        return

    again = parse(found.url)
    assert (again.protocol, again.host, again.port, again.path) == (
        found.protocol,
        found.host,
        found.port,
        found.path,
    )
    assert found.url.isascii()


@given(_HOSTS, _PATHS)
def test_endpoints_of_all_dialects_are_taken_off(host: str, path: str) -> None:
    """Whatever is in front of them."""
    endpoints = ["/chat/completions", "/responses", "/messages", "/models/m-1:generateContent", "/api/chat", "/models"]

    assert {parse(f"http://{host}{path}{endpoint}").path for endpoint in endpoints} == {path}
