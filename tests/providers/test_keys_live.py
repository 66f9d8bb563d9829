"""Several keys for one provider over real HTTP: every path goes on with the next one, and says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osaurus_nb import errors
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.client import AsyncClient
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.runtime import Runtime
from osaurus_nb.secrets import API_KEY, Secrets, numbered
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream

pytestmark = pytest.mark.anyio
BAD, GOOD, LAST = "sk-canary-bad-0123456789", "sk-canary-good-0123456789", "sk-canary-last-0123456789"
ENV = {"LAB_KEY": BAD, "LAB_KEY_2": GOOD}
REJECTS = Behaviour(status=401)
IN_BAND = Behaviour(
    body=b'data: {"id":"c","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":""},"finish_reason":null}]}\n\ndata: {"error":{"message":"no more",'
    b'"type":"insufficient_quota","code":"insufficient_quota"}}\n\n',
    content_type="text/event-stream",
)
CUT = Behaviour(
    body=b'data: {"id":"c","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"one word"},"finish_reason":null}]}\n\ndata: {"error":{"message":"no more",'
    b'"type":"insufficient_quota","code":"insufficient_quota"}}\n\n',
    content_type="text/event-stream",
)


@asynccontextmanager
async def asking(
    home: Path, how: Behaviour = REJECTS, env: Mapping[str, str] = ENV, format: str = "openai"
) -> AsyncGenerator[tuple[AsyncClient, LoopbackUpstream], None]:
    """A client with one provider, 'lab', that treats the bad key like this."""
    async with LoopbackUpstream(keys={BAD: how}) as upstream:
        ProviderFile(Paths(home)).add("Lab", upstream.url, key_env="LAB_KEY", format=format)
        sources = ConfiguredSources(Settings(Paths(home)), env)
        async with AsyncClient(model="lab/loopback", backend=Runtime(sources)) as client:
            yield client, upstream


def keys_at(upstream: LoopbackUpstream, path: str) -> list[str]:
    return [request.key for request in upstream.requests if request.path == path]


def told(warnings: object) -> list[str]:
    assert isinstance(warnings, tuple)
    return [warning.message for warning in warnings if warning.code == "key_skipped"]


@pytest.mark.parametrize(
    "how",
    [
        REJECTS,
        Behaviour(status=402),
        Behaviour(status=403),
        Behaviour(status=408),
        Behaviour(status=425),
        Behaviour(status=429, retry_after="60"),
        Behaviour(status=500),
        Behaviour(status=503),
        IN_BAND,
    ],
    ids=lambda how: str(how.status),
)
async def test_a_stream_goes_on_with_the_next_key(tmp_path: Path, how: Behaviour) -> None:
    """Before a word was shown, and within the same attempt; the reply says which key was passed over."""
    async with asking(tmp_path, how) as (client, upstream):
        stream = client.stream("hi")
        words = [word async for word in stream]

    assert "".join(words) == stream.reply.text == "Hello from the loopback upstream."
    assert keys_at(upstream, "/v1/chat/completions") == [BAD, GOOD]
    [said] = told(stream.reply.warnings)
    assert "Key 1 of 'lab'" in said
    assert "canary" not in said


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_other_faults_are_told_at_once(tmp_path: Path, status: int) -> None:
    """A request that is wrong is not sent again with another key."""
    async with asking(tmp_path, Behaviour(status=status)) as (client, upstream):
        with pytest.raises(errors.ProviderError):
            await client.chat("hi")

    assert keys_at(upstream, "/v1/chat/completions") == [BAD]


async def test_after_a_word_nothing_is_sent_again(tmp_path: Path) -> None:
    """An answer that breaks off is told; the next question goes to the next key."""
    async with asking(tmp_path, CUT) as (client, upstream):
        with pytest.raises(errors.StreamCut):
            await client.chat("hi")
        reply = await client.chat("hi")

    assert reply.text == "Hello from the loopback upstream."
    assert keys_at(upstream, "/v1/chat/completions") == [BAD, GOOD]


async def test_a_key_that_rests_is_not_asked_again(tmp_path: Path) -> None:
    """It costs one request, not one for each question, and is mentioned as long as it is left out."""
    async with asking(tmp_path) as (client, upstream):
        replies = [await client.chat("hi") for _ in range(3)]

    assert keys_at(upstream, "/v1/chat/completions") == [BAD, GOOD, GOOD, GOOD]
    assert [len(told(reply.warnings)) for reply in replies] == [1, 1, 1]


async def test_embeddings_go_on_with_the_next_key(tmp_path: Path) -> None:
    """The vectors come, with the warning."""
    async with asking(tmp_path) as (client, upstream):
        answer = await client.embed(["a"], model="lab/any")

    assert len(answer.vectors) == 1
    assert keys_at(upstream, "/v1/embeddings") == [BAD, GOOD]
    assert len(told(answer.warnings)) == 1


async def test_counts_go_on_with_the_next_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no warning goes with the answer it is logged, by position."""
    async with asking(tmp_path, format="anthropic") as (client, upstream):
        await client.count_tokens("hi")

    assert keys_at(upstream, "/v1/messages/count_tokens") == [BAD, GOOD]
    assert "Key 1 of 'lab' was passed over" in caplog.text
    assert "canary" not in caplog.text


async def test_lists_go_on_with_the_next_key(tmp_path: Path) -> None:
    """A provider with one good key is connected."""
    async with asking(tmp_path) as (client, upstream):
        [_, lab] = await client.status()

    assert (lab.state, lab.models) == ("connected", 1)
    assert keys_at(upstream, "/v1/models") == [BAD, GOOD]


async def test_decisions_go_on_with_the_next_key(tmp_path: Path) -> None:
    """At the provider's own endpoint, and where it has none by chat."""
    async with asking(tmp_path) as (client, upstream):
        await client.decide("Buy now!", {"spam": "Is it spam?"})

    assert keys_at(upstream, "/v1/decisions") == [BAD, GOOD]
    assert set(keys_at(upstream, "/v1/chat/completions")) == {GOOD}


async def test_all_keys_in_vain_is_one_error(tmp_path: Path) -> None:
    """The most helpful one, with when to try again; so long a wait is not sat out."""
    async with asking(tmp_path) as (client, upstream):
        upstream.keys[GOOD] = Behaviour(status=429, retry_after="30")
        with pytest.raises(errors.RateLimited) as caught:
            await client.chat("hi")

    assert caught.value.retry_after == 30
    assert keys_at(upstream, "/v1/chat/completions") == [BAD, GOOD]


async def test_keys_of_the_vault_follow_in_order(tmp_path: Path) -> None:
    """The environment's first, then those that are stored, also behind one that was deleted."""
    env = {"LAB_KEY": BAD, "OSAURUS_VAULT_KEY": "ab" * 32}
    async with asking(tmp_path, env=env) as (client, upstream):
        provider = ProviderFile(Paths(tmp_path)).find("lab")
        secrets = Secrets(Paths(tmp_path), env=env)
        secrets.set(provider.id, numbered(API_KEY, 2), GOOD)
        secrets.set(provider.id, numbered(API_KEY, 3), LAST)
        await client.chat("hi")
        secrets.delete(provider.id, numbered(API_KEY, 2))
        await client.chat("hi")

    assert keys_at(upstream, "/v1/chat/completions") == [BAD, GOOD, LAST]


async def test_a_missing_header_is_no_fault_of_a_key(tmp_path: Path) -> None:
    """It is told as what it is, and no key rests for it."""
    env = dict(ENV)
    async with asking(tmp_path, env=env) as (client, upstream):
        ProviderFile(Paths(tmp_path)).edit("lab", header_env={"X-Team": "TEAM"})
        with pytest.raises(errors.CredentialRejected, match="secret header"):
            await client.chat("hi")
        env["TEAM"] = "blue"
        await client.chat("hi")

    assert keys_at(upstream, "/v1/chat/completions") == [BAD, GOOD]
