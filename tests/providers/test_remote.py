"""Remote providers, asked over real HTTP on loopback: what they say arrives, what they break is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osaurus_nb import errors
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.client import AsyncClient
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.providers.registry import add
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.loopback import LoopbackUpstream

pytestmark = pytest.mark.anyio
KEY = "sk-canary-0123456789abcdef"


@asynccontextmanager
async def asking(home: Path, **options: str) -> AsyncGenerator[tuple[AsyncClient, LoopbackUpstream], None]:
    """A client with one provider, 'lab', that is a loopback upstream."""
    async with LoopbackUpstream() as upstream:
        ProviderFile(Paths(home)).add("Lab", upstream.url, **options)
        sources = ConfiguredSources(Settings(Paths(home)), {"LAB_KEY": KEY})
        async with AsyncClient(model="lab/loopback", backend=Runtime(sources)) as client:
            yield client, upstream


async def test_an_answer_streams_through(tmp_path: Path) -> None:
    """Words arrive as they are sent, with usage, the model that answered and the finish."""
    async with asking(tmp_path) as (client, _):
        stream = client.stream("hi", model="lab/slow?words=3&interval=0.05")
        times = [time.monotonic() async for _ in stream]

    assert stream.reply.text == "w0 w1 w2 "
    assert times[-1] - times[0] > 0.08
    assert stream.reply.usage == Usage(input_tokens=7, output_tokens=3)
    assert (stream.reply.provider, stream.reply.finish_reason) == ("lab", "stop")


async def test_the_key_goes_to_the_provider_and_nowhere_else(tmp_path: Path) -> None:
    """It is read from the environment for each request, and is in no file, repr or error."""
    async with asking(tmp_path, key_env="LAB_KEY") as (client, upstream):
        await client.chat("hi")
        with pytest.raises(errors.CredentialRejected) as caught:
            await client.chat("hi", model="lab/closed?status=401")

    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) + repr(client.backend)
    assert all(KEY not in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


async def test_a_missing_key_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """The error names the variable to set."""
    async with asking(tmp_path, key_env="OTHER_KEY") as (client, upstream):
        with pytest.raises(errors.CredentialRejected, match="OTHER_KEY"):
            await client.chat("hi")

    assert upstream.requests == []


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("x?status=400", errors.Refused),
        ("x?status=401", errors.CredentialRejected),
        ("x?status=402", errors.QuotaExhausted),
        ("x?status=404", errors.NotOffered),
        ("x?status=429&retry_after=7", errors.RateLimited),
        ("x?status=500", errors.Unavailable),
        ("x?status=503", errors.Unavailable),
        ("x?status=504", errors.TooSlow),
        ("garbage", errors.BadAnswer),
        ("cut?cut=0", errors.ProviderError),
        ("cut?cut=3", errors.StreamCut),
    ],
)
async def test_each_fault_is_of_its_kind(tmp_path: Path, model: str, kind: type[errors.OsaurusError]) -> None:
    """Statuses, garbage and cuts become errors that a program can tell apart."""
    async with asking(tmp_path) as (client, _):
        with pytest.raises(kind) as caught:
            await client.chat("hi", model=f"lab/{model}")

    assert "hi" not in str(caught.value).split()
    if "retry_after" in model:
        assert caught.value.retry_after == 7


async def test_nobody_listening_is_told_as_such(tmp_path: Path) -> None:
    """A provider that is not there gives a sentence, for questions and for lists alike."""
    async with asking(tmp_path) as (client, upstream):
        await upstream.__aexit__()
        with pytest.raises(errors.Unreachable, match="listens"):
            await client.chat("hi")
        [_, lab] = await client.status()

    assert lab.error is not None
    assert "listens" in lab.error


async def test_leaving_a_stream_hangs_up_on_the_provider(tmp_path: Path) -> None:
    """Stopping reaches the provider: its connection closes at once."""
    async with asking(tmp_path) as (client, upstream):
        stream = client.stream("hi", model="lab/endless?words=100000&interval=0.01")
        async for _ in stream:
            break
        left = time.monotonic()
        await stream.aclose()
        request = upstream.requests[-1]
        await asyncio.wait_for(request.finished.wait(), 1)

    assert request.hung_up_at is not None
    assert request.hung_up_at - left < 1


async def test_one_connection_serves_answer_after_answer(tmp_path: Path) -> None:
    """A finished answer gives its connection back."""
    async with asking(tmp_path) as (client, upstream):
        for _ in range(5):
            await client.chat("hi")

    assert upstream.connections == 1


async def test_models_are_listed_with_what_is_known(tmp_path: Path) -> None:
    """Cards say where the provider is; a bare id that one provider lists is enough to ask it."""
    async with asking(tmp_path) as (client, _):
        cards = await client.models()
        reply = await client.chat("hi", model="loopback")

    assert cards == [ModelCard("loopback", "lab", endpoint="loopback")]
    assert reply.provider == "lab"


async def test_a_provider_added_meanwhile_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is followed: another process may add a provider while this one runs."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    async with asking(tmp_path) as (client, upstream):
        await client.chat("hi")
        add("second", url=upstream.url)
        reply = await client.chat("hi", model="second/loopback")

    assert reply.provider == "second"


@pytest.mark.parametrize("fault", ["status=503", "status=429", "cut=0", "status=401"])
async def test_a_fallback_answers_for_any_fault_of_theirs(tmp_path: Path, fault: str) -> None:
    """What the provider got wrong before its first word, the caller's next choice may answer."""
    async with asking(tmp_path) as (client, _):
        reply = await client.chat("hi", model=f"lab/x?{fault}", fallbacks=["lab/loopback"])

    assert reply.text == "Hello from the loopback upstream."
    assert reply.substituted


async def test_tools_work_over_the_wire(tmp_path: Path) -> None:
    """A call comes back whole, and the function's result is sent to the provider."""
    ran: list[str] = []

    def get_weather(city: str = "") -> str:
        ran.append(city)
        return "sunny"

    async with asking(tmp_path) as (client, upstream):
        await client.chat("weather?", model="lab/tool-call", tools=[get_weather], max_rounds=1)

    assert len(ran) == 1
    assert upstream.requests[-1].json["messages"][-1]["content"] == "sunny"
