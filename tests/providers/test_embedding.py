"""Vectors of remote providers, asked over real HTTP on loopback: what they break is told as what it is."""

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
from osaurus_nb.models import Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream
from osaurus_nb.testing.vectors import vector

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def asking(home: Path) -> AsyncGenerator[tuple[AsyncClient, LoopbackUpstream], None]:
    """A client with one provider, 'lab', that is a loopback upstream."""
    async with LoopbackUpstream() as upstream:
        ProviderFile(Paths(home)).add("Lab", upstream.url)
        async with AsyncClient(backend=Runtime(ConfiguredSources(Settings(Paths(home))))) as client:
            yield client, upstream


async def test_texts_go_out_in_one_call(tmp_path: Path) -> None:
    """Packed vectors are asked for, plain ones are read too, and what is extra goes along."""
    async with asking(tmp_path) as (client, upstream):
        answer = await client.embed(["a", "b"], model="lab/any", dimensions=3, extra={"user": "me"})

    assert answer.vectors == (vector("a", 3), vector("b", 3))
    assert (answer.provider, answer.model, answer.usage) == ("lab", "any", Usage(input_tokens=2))
    [asked] = [request.json for request in upstream.requests if request.method == "POST"]
    assert asked == {
        "model": "any",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 3,
        "user": "me",
    }


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("x?status=400", errors.Refused),
        ("x?status=401", errors.CredentialRejected),
        ("x?status=404", errors.NotOffered),
        ("x?status=429", errors.RateLimited),
        ("x?status=503", errors.Unavailable),
        ("page", errors.BadAnswer),
        ("nothing", errors.BadAnswer),
        ("error-in-200", errors.ProviderError),
        ("x?cut=0", errors.ProviderError),
        ("garbage", errors.ProviderError),
        ("gzip-bomb", errors.ProviderError),
    ],
)
async def test_what_goes_wrong_over_there_is_told(tmp_path: Path, model: str, kind: type[Exception]) -> None:
    """As the error that it is, with the provider's name and not a word of the text."""
    async with asking(tmp_path) as (client, _):
        with pytest.raises(kind) as caught:
            await client.embed("canary", model=f"lab/{model}")

    assert "lab" in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_too_few_vectors_are_no_answer(tmp_path: Path) -> None:
    """They would be taken for those of other texts."""
    async with asking(tmp_path) as (client, upstream):
        upstream.script["short"] = Behaviour(body=b'{"data": [{"index": 0, "embedding": [1.0]}]}')
        with pytest.raises(errors.BadAnswer, match="1 vectors for 2 texts"):
            await client.embed(["a", "b"], model="lab/short")


async def test_tokens_that_nobody_counted_are_estimated_and_marked(tmp_path: Path) -> None:
    """Some servers report no usage."""
    async with asking(tmp_path) as (client, upstream):
        upstream.script["silent"] = Behaviour(body=b'{"data": [{"embedding": [1.0]}]}')
        answer = await client.embed("eight letters and more", model="lab/silent")

    assert answer.usage is not None
    assert answer.usage.estimated
    assert answer.usage.input_tokens > 0


async def test_leaving_hangs_up_at_the_provider(tmp_path: Path) -> None:
    """What nobody waits for is not paid for."""
    async with asking(tmp_path) as (client, upstream):
        waiting = asyncio.create_task(client.embed("x", model="lab/slow?delay=20"))
        while not upstream.requests:
            await asyncio.sleep(0.01)
        left = time.monotonic()
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.wait_for(upstream.requests[0].finished.wait(), 5)

    assert upstream.requests[0].hung_up_at is not None
    assert upstream.requests[0].hung_up_at - left < 1
