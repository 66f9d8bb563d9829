"""Connections over real HTTP on loopback: what a user sees of a provider that is set up, broken and repaired."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import ModelNotFound
from osaurus_nb.messages import user
from osaurus_nb.models import SourceStatus
from osaurus_nb.providers import connection
from osaurus_nb.providers.trial import trial
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Runtime
from tests.providers.listing import ListServer, listing, serving

pytestmark = pytest.mark.anyio
ANSWER = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
CANARY = "sk-canary-0123456789abcdef"


def ask(model: str) -> ChatRequest:
    return ChatRequest(model, (user("hi"),))


class Lab:
    """One provider, 'lab', the file that it is in, and the runtime that follows that."""

    def __init__(self, home: Path, server: ListServer) -> None:
        self.server = server
        self.file = ProviderFile(Paths(home))
        self.env: dict[str, str] = {}
        self.sources = ConfiguredSources(Settings(Paths(home)), self.env)
        self.runtime = Runtime(self.sources)

    async def status(self) -> SourceStatus:
        return next(row for row in await self.runtime.status() if row.provider == "lab")


@asynccontextmanager
async def lab(home: Path, **options: str) -> AsyncGenerator[Lab, None]:
    async with serving("one") as server:
        made = Lab(home, server)
        made.file.add("lab", url=f"{server.url}/v1", **options)
        try:
            yield made
        finally:
            await made.runtime.aclose()
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("osaurus-")]


async def test_a_provider_goes_from_blue_to_green(tmp_path: Path) -> None:
    """Who watches sees it connect, be disabled, enabled again and removed, by whatever process."""
    async with lab(tmp_path) as it:
        seen: list[str] = []
        async with aclosing(it.runtime.watch()) as changes:
            async for rows in changes:
                state = next((row.state for row in rows if row.provider == "lab"), "gone")
                seen += [state] if seen[-1:] != [state] else []
                match len(seen), state:
                    case 2, "connected":
                        it.file.edit("lab", enabled=False)
                    case 3, "disabled":
                        it.file.edit("lab", enabled=True)
                    case _, "connected":
                        it.file.remove("lab")
                    case _, "gone":
                        break
                it.sources.current()
                it.runtime.launch()

    assert seen == ["connecting", "connected", "disabled", "connecting", "connected", "gone"]


async def test_a_wrong_key_is_red_and_says_where_to_fix_it(tmp_path: Path) -> None:
    """The status and the host; the key and what the provider said of it are nowhere. With another key it is green."""
    async with lab(tmp_path, key_env="LAB_KEY") as it:
        it.env["LAB_KEY"] = CANARY
        it.server.answers["/v1/models"] = (401, {"error": {"message": f"Incorrect API key: {CANARY}"}})
        wrong = await it.status()
        it.server.answers["/v1/models"] = (200, listing("one"))
        still = await it.status()
        it.env["LAB_KEY"] = "another"
        right = await it.status()

    assert wrong.state == "error"
    assert wrong.error is not None
    assert wrong.error.startswith("401 from 127.0.0.1:")
    assert "key rejected" in wrong.error
    assert "canary" not in repr(wrong)
    assert wrong.diagnosis is not None
    assert wrong.diagnosis.severity == "blocked"
    assert still.state == "error"
    assert (right.state, right.models, right.error) == ("connected", 1, None)


async def test_a_missing_key_is_told_without_a_request(tmp_path: Path) -> None:
    """And noticed as soon as it is there."""
    async with lab(tmp_path, key_env="LAB_KEY") as it:
        missing = await it.status()
        asked = list(it.server.asked)
        it.env["LAB_KEY"] = "there"

        assert missing.diagnosis is not None
        assert missing.diagnosis.bucket == "missing-credential"
        assert "LAB_KEY" in missing.diagnosis.action
        assert asked == []
        assert (await it.status()).state == "connected"


@pytest.mark.parametrize(
    ("answer", "bucket", "words"),
    [
        ((200, b"<!doctype html><title>Hi</title>"), "bad-response", "not an API"),
        ((404, b"<html>nginx</html>"), "bad-response", "not an API"),
        ((200, {"models": "none"}), "models-schema-mismatch", "no list of models"),
        ((200, b"[]"), "models-schema-mismatch", "no list of models"),
        ((404, {"detail": "Not Found"}), "models-endpoint-unavailable", "404 from"),
        ((503, {"error": "warming up"}), "models-endpoint-unavailable", "failing"),
    ],
)
async def test_what_is_no_list_is_told_as_what_it_is(
    tmp_path: Path, answer: tuple[int, object], bucket: str, words: str
) -> None:
    """A page, a wrong shape, a missing path, a failing server: each with its own name."""
    async with lab(tmp_path) as it:
        it.server.answers["/v1/models"] = answer
        told = await it.status()

    assert told.diagnosis is not None
    assert told.diagnosis.bucket == bucket
    assert words in told.diagnosis.title


async def test_a_missing_name_says_whose_list_is_missing(tmp_path: Path) -> None:
    """A bare id may be at a provider that cannot be asked just now."""
    async with lab(tmp_path) as it:
        it.server.answers["/v1/models"] = (503, b"")
        with pytest.raises(ModelNotFound, match=r"No list came from lab \(503 from 127"):
            await anext(it.runtime.stream(ask("one")))


async def test_one_provider_asked_by_name_has_no_other_asked(tmp_path: Path) -> None:
    """A script that names its model contacts that provider alone, once."""
    async with lab(tmp_path) as it:
        _ = [event async for event in it.runtime.stream(ask("lab/one"))]

        assert it.server.asked == ["/v1/chat/completions"]


async def test_an_answer_turns_red_to_green(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks and is answered need not ask for the state twice."""
    monkeypatch.setattr(connection, "LOOK_APART", 0.0)
    async with lab(tmp_path, key_env="LAB_KEY") as it:
        it.env["LAB_KEY"] = "k"
        it.server.answers["/v1/models"] = (401, {})
        assert (await it.status()).state == "error"
        it.server.answers["/v1/models"] = (200, listing("one"))
        it.server.answers["/v1/chat/completions"] = (200, ANSWER)
        _ = [event async for event in it.runtime.stream(ask("lab/one"))]
        await asyncio.sleep(0.2)

        assert (await it.status()).state == "connected"


async def test_a_trial_tells_how_a_provider_would_stand(tmp_path: Path) -> None:
    """Before it is kept, or beside the connection that there is."""
    async with lab(tmp_path) as it:
        adapter = it.sources.current()["lab"]

        assert (await trial(adapter)).state == "connected"
        it.server.answers["/v1/models"] = (403, b"")
        assert (await trial(adapter)).diagnosis is not None
        assert it.runtime.disconnect("lab").state == "disconnected"
        assert (await it.runtime.connect("lab")).state == "error"
