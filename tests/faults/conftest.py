"""The whole way of a question: an HTTP client, our server with its ledger and breakers, and a provider that fails."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.models import Price
from osaurus_nb.ports import Timeouts
from osaurus_nb.resilience.breakers import Condition
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import Entry, Query
from osaurus_nb.testing.faulty import FaultyUpstream
from osaurus_nb.testing.loopback import Recorded
from tests.server.conftest import Answer, Served, jupyter_dirs, serving  # noqa: F401 - a fixture of theirs

#: Of those that are late on purpose, asked as `bad`. All others have all the time there is: the machine may be busy.
TIMEOUTS = Timeouts(connect=2.0, first_token=0.2, between_tokens=0.2, total=0.5)
LATE = ("silent", "silent-after-head", "keep-alive", "trickle", "stall", "endless", "endless-thought", "endless-line")
LEISURE = 120.0
GOOD = "Hello from the loopback upstream."
PRICE = Price(Decimal(100), Decimal(200))


class Dialect:
    """One way to ask, and to read what came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}[name]

    def body(self, model: str, *, stream: bool, **more: Any) -> dict[str, Any]:
        hi = [{"role": "user", "content": "hi"}]
        own = {"input": hi} if self.name == "responses" else {"messages": hi}
        limit = {"max_tokens": 100} if self.name == "messages" else {}
        return {"model": model, "stream": stream, **own, **limit, **more}

    def text(self, answer: Answer, *, stream: bool) -> str:
        """The words of an answer, whole or streamed."""
        if not stream:
            return self._whole(answer.json)
        return "".join(self._delta(frame) for frame in frames(answer.body))

    def error(self, answer: Answer, *, stream: bool) -> dict[str, Any] | None:
        """The error inside of an answer that began; None for none."""
        if not stream:
            return None
        told = [found for frame in frames(answer.body) if (found := self._error(frame))]
        assert len(told) <= 1
        return told[0] if told else None

    def ends(self, answer: Answer) -> int:
        """How many marks of a proper end a stream has."""
        mark = {"chat": b"data: [DONE]", "messages": b"event: message_stop", "responses": b"event: response.completed"}
        return answer.body.count(mark[self.name])

    def _whole(self, said: Any) -> str:
        match self.name:
            case "chat":
                return said["choices"][0]["message"]["content"] or ""
            case "messages":
                return "".join(part.get("text", "") for part in said["content"])
        parts = [part for item in said["output"] for part in item.get("content", ())]
        return "".join(part.get("text", "") for part in parts)

    def _delta(self, frame: dict[str, Any]) -> str:
        match self.name:
            case "chat":
                return "".join(one["delta"].get("content") or "" for one in frame.get("choices") or ())
            case "messages":
                return str((frame.get("delta") or {}).get("text", ""))
        return str(frame["delta"]) if frame.get("type") == "response.output_text.delta" else ""

    def _error(self, frame: dict[str, Any]) -> dict[str, Any] | None:
        if self.name == "responses":
            return frame["response"]["error"] if frame.get("type") == "response.failed" else None
        found: dict[str, Any] | None = frame.get("error")
        return found


def frames(body: bytes) -> list[dict[str, Any]]:
    rows = [line[6:] for line in body.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(row) for row in rows]


@dataclass(frozen=True)
class Outcome:
    """What a question came to, everywhere."""

    answer: Answer
    calls: Sequence[Recorded]
    rows: Sequence[Entry]
    conditions: Sequence[Condition]

    @property
    def failed(self) -> list[Entry]:
        """The lines of the failing provider, in the order of the attempts."""
        return [row for row in self.rows if row.provider != "good"]

    @property
    def repeats(self) -> int:
        """How often the failing provider was asked."""
        return sum(not one.json["model"].startswith("good") for one in self.calls)


class Bench:
    """The server, providers that fail, and `good` that answers."""

    PROVIDERS = ("bad", "odd", "good", "gone", "nameless", "untrusted")

    def __init__(self, server: Served, upstream: FaultyUpstream, health: Health, store: LedgerStore, paths: Paths):
        self.server = server
        self.upstream = upstream
        self.health = health
        self.store = store
        self.paths = paths

    def ask(
        self,
        dialect: Dialect,
        model: str,
        *,
        stream: bool,
        provider: str | None = None,
        rescue: bool = False,
        fresh: bool = True,
        **more: Any,
    ) -> Outcome:
        """One question. `fresh`: nobody failed before."""
        provider = provider or ("bad" if model.partition("?")[0] in LATE else "odd")
        if fresh:
            self.forget()
        self._priced(f"{provider}/{model}")
        before = len(self.upstream.requests)
        if rescue:
            more["fallbacks"] = ["good/good"]
        headers = {"anthropic-version": "2023-06-01"} if dialect.name == "messages" else {}
        body = dialect.body(f"{provider}/{model}", stream=stream, **more)
        answer = self.server.ask("POST", dialect.path, json_body=body, headers=headers)
        calls = [one for one in self.upstream.requests[before:] if one.method == "POST"]
        rows = self._rows(answer.headers.get("x-osaurus-request-id", ""))
        return Outcome(answer, calls, rows, [one for one in self.health.conditions() if one.provider == provider])

    def forget(self) -> None:
        """All is well with everybody."""
        for name in self.PROVIDERS:
            self.health.forget(name)

    def _priced(self, model: str) -> None:
        """What is asked costs something: only then there are lines before an attempt."""
        file = BillingFile(self.paths)
        if model not in file.read().prices:
            file.edit(lambda now: replace(now, prices={**now.prices, model: PRICE}))

    def _rows(self, request_id: str) -> list[Entry]:
        """Once each line that was opened has its end."""
        ends = time.monotonic() + 5
        while True:
            rows = [row for row in asyncio.run(self.store.entries(Query())) if row.request_id == request_id]
            if all(row.kind != "open" for row in rows) or time.monotonic() > ends:
                return sorted(rows, key=lambda row: row.attempt)
            time.sleep(0.01)


@pytest.fixture(scope="session")
def upstream() -> Iterator[FaultyUpstream]:
    """On a loop and thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = FaultyUpstream()
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture(scope="session", params=["openai"])
def bench(
    jupyter_dirs: Path,  # noqa: F811 - that very fixture
    upstream: FaultyUpstream,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Bench]:
    paths = Paths(tmp_path_factory.mktemp("home"))
    file = ProviderFile(paths)
    places = {"gone": upstream.refused, "nameless": upstream.nowhere, "untrusted": upstream.untrusted}
    for name in Bench.PROVIDERS:
        patience = LEISURE if name in ("good", "odd") else None
        file.add(name, places.get(name, upstream.url), format=request.param)
        if patience is not None:
            file.edit(name, timeout=patience)
    settings = replace(Settings.from_env(), paths=paths, url=None, key=None, timeouts=TIMEOUTS)
    health, billing, store = Health(chance=lambda: 0.1), BillingFile(paths), LedgerStore(paths, None)

    def backend() -> Runtime:
        sources = ConfiguredSources(settings, billing=billing)
        return Runtime(sources, ledger=LedgerMeter(store, billing), timeouts=TIMEOUTS, chooser=Chooser(health))

    # It lives on beside later tests, so it leaves the environment of this process alone.
    with serving(backend, jupyter_dirs, kernel_access=False) as served:
        yield Bench(served, upstream, health, store, paths)


@pytest.fixture(params=["chat", "messages", "responses"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
