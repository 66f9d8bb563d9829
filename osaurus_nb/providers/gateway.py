"""A gateway of ours, reached over HTTP: how a kernel asks the Jupyter server that holds the keys and the models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx2

from osaurus_nb import errors
from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.events import Event
from osaurus_nb.models import (
    LOCAL,
    BreakerStatus,
    Capabilities,
    Diagnosis,
    ModelCard,
    Price,
    SourceStatus,
    Tested,
    TokenCount,
    Worker,
)
from osaurus_nb.ports import PLAIN, Terms
from osaurus_nb.providers.exchange import exchange, fetch
from osaurus_nb.providers.gateway_books import GatewayBooks
from osaurus_nb.providers.http import AddressPolicy, Answer, Call, HttpDoor
from osaurus_nb.providers.server_events import server_events
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.resilience.retry_after import retry_after
from osaurus_nb.routes import Explanation
from osaurus_nb.wire import _counting, _osaurus, _routing, embeddings, explanation, openai_chat
from osaurus_nb.wire import terms as carried
from osaurus_nb.wire.decisions import openai as openai_decisions
from osaurus_nb.wire.embeddings import openai

_NAME = "osaurus"
#: Seconds between two looks of who watches.
WATCH_EVERY = 5.0
_TYPED = AddressPolicy(private=True)
#: Every error class by its code, so that a fault over there is the same fault here. Where two share a code, ours goes
#: before the provider's: the server has already told them apart in its sentence.
_BY_CODE: Mapping[str, type[errors.OsaurusError]] = {
    kind.code: kind
    for kind in reversed(vars(errors).values())
    if isinstance(kind, type) and issubclass(kind, errors.OsaurusError)
}


class Gateway:
    """The backend of connected mode. The server routes, meters and holds the keys; we only ask.

    With `local_only` it must be here, and every question says that it must stay there.
    """

    def __init__(self, url: str, key: str | None, *, local_only: bool = False) -> None:
        self._url = url.rstrip("/")
        # A relayed answer has no place for what only we say of it.
        self._headers = openai_chat.auth(key) | {"x-osaurus-relay": "off"}
        if local_only:
            self._headers["X-Osaurus-Local-Only"] = "1"
        self._door = HttpDoor(local_only=local_only)
        self.books = GatewayBooks(self._asked)

    async def stream(self, request: ChatRequest, terms: Terms = PLAIN) -> AsyncGenerator[Event, None]:
        """One step over there; the server gives it its own id, which is on the `Started` event."""
        card = ModelCard(request.model, _NAME)
        body = _body(request, card, explain=True)
        call = self._call(f"/v1{openai_chat.endpoint(card)}", body, terms)
        decoder = openai_chat.gateway_decoder(card)
        async with aclosing(exchange(self._door, call, decoder, _revive, who=(_NAME, request.model))) as events:
            async for event in events:
                yield event

    async def count_tokens(self, request: ChatRequest, *, sent: Sent | None = None) -> TokenCount:
        """Of the very body that would be asked: the path is our own, as Chat Completions has none for this."""
        request = request if sent is None else sent.read()
        card = ModelCard(request.model, _NAME)
        body = _body(request, card)
        return _counting.read(await self._post("/v1/chat/completions/input_tokens", body), "input_tokens", card)

    async def embed(self, request: EmbeddingRequest, terms: Terms = PLAIN) -> Embeddings:
        """As OpenAI's SDK asks, with packed numbers; the key `osaurus` says who really gave the vectors."""
        card, answers = ModelCard(request.model, _NAME), []
        for part in embeddings.parts(request, openai.MAX_TEXTS):
            encoded = openai.encode_request(part, card)
            payload = await self._post(f"/v1{openai.endpoint(card)}", encoded.body, terms)
            answer = openai.decode_response(payload, card, part)
            answers.append(embeddings.told(answer, payload, before=encoded.warnings))
        return embeddings.joined(answers)

    async def decide(self, request: DecisionRequest, terms: Terms = PLAIN) -> Decisions:
        """In OpenAI's dialect, as our server reads it."""
        card = ModelCard(request.model, _NAME)
        encoded = openai_decisions.encode_request(request, card, ours=True)
        payload = await self._post("/v1/decisions", encoded.body, terms)
        answer = openai_decisions.decode_response(payload, request, card)
        return replace(answer, warnings=(*encoded.warnings, *answer.warnings), cost=_osaurus.price(payload))

    async def explain(self, request: ChatRequest, terms: Terms = PLAIN) -> Explanation:
        """Over there; nobody is asked."""
        body = _body(request, ModelCard(request.model, _NAME), explain=True)
        said = explanation.read((await self._post("/v1/route/explain", body, terms)).get("route"))
        if said is None:
            raise errors.BadAnswer("The server gave no explanation.", provider=_NAME)
        return said

    async def models(self) -> Sequence[ModelCard]:
        payload = await self._get("/v1/models")
        return [_card(row) for row in payload.get("data") or () if isinstance(row, dict)]

    async def status(self) -> Sequence[SourceStatus]:
        return _statuses((await self._get("/health")).get("providers"))

    async def workers(self) -> Sequence[Worker]:
        rows = (await self._get("/health")).get("workers") or ()
        return [_worker(row) for row in rows if isinstance(row, dict)]

    async def watch(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """How all stand, now and after each change. One broken connection is made anew."""
        told: Sequence[SourceStatus] | None = None
        async with aclosing(self._states()) as states:
            async for now in states:
                if now != told:
                    told = now
                    yield now

    async def test(self, name: str) -> Tested:
        """By the server, with the key that it holds."""
        said = await self._post(f"/admin/providers/{quote(name, safe='')}/test", {})
        return Tested(
            str(said.get("provider")),
            said.get("state") or "error",
            tuple(map(str, said.get("models") or ())),
            float(said.get("seconds") or 0.0),
            _diagnosis(said.get("diagnosis")),
        )

    async def aclose(self) -> None:
        await self._door.aclose()

    async def _states(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """As the server pushes them; who may not watch there looks every few seconds."""
        pushed = True
        while True:
            try:
                if pushed:
                    async with aclosing(self._pushed()) as states:
                        async for now in states:
                            yield now
                else:
                    yield await self.status()
            except errors.Forbidden:
                if not pushed:
                    raise
                pushed = False
            else:
                await asyncio.sleep(WATCH_EVERY)

    async def _pushed(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """Until the connection ends. Raises what keeps it from standing."""
        heard = False
        call = Call(f"{self._url}/admin/providers/events", "GET", self._headers, read=60.0, guard=_TYPED)
        try:
            async with aclosing(server_events(self._door, call, _revive, provider=_NAME)) as events:
                async for event in events:
                    heard = True
                    yield _statuses(event.get("data"))
        except errors.Unreachable:
            if not heard:
                raise

    async def _get(self, path: str) -> Mapping[str, Any]:
        return await self._fetch(Call(f"{self._url}{path}", "GET", self._headers, read=60.0, guard=_TYPED))

    async def _post(self, path: str, body: Mapping[str, Any], terms: Terms = PLAIN) -> Mapping[str, Any]:
        return await self._fetch(self._call(path, body, terms))

    async def _asked(self, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        return await (self._get(path) if body is None else self._post(path, body))

    async def _fetch(self, call: Call) -> Mapping[str, Any]:
        payload = json.loads(await fetch(self._door, call, _revive, provider=_NAME))
        return payload if isinstance(payload, dict) else {}

    def _call(self, path: str, body: Mapping[str, Any], terms: Terms) -> Call:
        return Call(
            f"{self._url}{path}",
            headers={**self._headers, "content-type": "application/json", **carried.headers(terms)},
            content=json.dumps(body, separators=(",", ":")).encode(),
            read=None,  # the server keeps the deadlines
            guard=_TYPED,
        )


def _body(request: ChatRequest, card: ModelCard, *, explain: bool = False) -> dict[str, Any]:
    """The question, and our own keys, which a plain provider would not know."""
    route = replace(request.route, explain=explain or request.route.explain)
    return {**openai_chat.encode_request(request, card).body, **_routing.write(route)}


def _revive(response: Answer, body: bytes) -> errors.OsaurusError:
    """The error that the server raised, as the class it was."""
    try:
        said = json.loads(body)["error"]
        code, message = str(said["code"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", f"The osaurus server answered with status {response.status_code}."
    if response.status_code == httpx2.codes.UNAUTHORIZED and code == errors.AccessDenied.code:
        message += " Restart the kernel to get a new key from its server."
    kind = _BY_CODE.get(code, errors.OsaurusError)
    if issubclass(kind, errors.ProviderError):
        wait = retry_after(response.headers, datetime.now(UTC))
        return kind(message, provider=_NAME, upstream_status=response.status_code, retry_after=wait)
    return _plain(kind, message)


def _plain(kind: type[errors.OsaurusError], message: str) -> errors.OsaurusError:
    if issubclass(kind, errors.ModelAmbiguous):
        return kind(message, choices=())
    if issubclass(kind, errors.StreamCut):
        return errors.OsaurusError(message)
    return kind(message)


def _statuses(rows: Any) -> Sequence[SourceStatus]:
    return [_status(row) for row in rows or () if isinstance(row, dict)]


def _status(row: Mapping[str, Any]) -> SourceStatus:
    return SourceStatus(
        str(row.get("provider")),
        int(row.get("models") or 0),
        row.get("error"),
        state=row.get("state") or ("error" if row.get("error") else "connected"),
        since=row.get("since"),
        retry_at=row.get("retry_at"),
        diagnosis=_diagnosis(row.get("diagnosis")),
        breaker=_breaker(row.get("breaker")),
        resting=tuple(found for said in row.get("resting") or () if (found := _breaker(said)) is not None),
        success=row.get("success"),
    )


def _breaker(said: Any) -> BreakerStatus | None:
    return BreakerStatus(**said) if isinstance(said, dict) else None


def _worker(said: Mapping[str, Any]) -> Worker:
    return Worker(**{name: said[name] for name in (field.name for field in fields(Worker)) if name in said})


def _diagnosis(said: Any) -> Diagnosis | None:
    return Diagnosis(**said) if isinstance(said, dict) else None


def _price(said: Any) -> Price | None:
    return Price(Decimal(said["input"]), Decimal(said["output"])) if isinstance(said, dict) else None


def _card(row: Mapping[str, Any]) -> ModelCard:
    name, provider = str(row.get("id")), str(row.get("owned_by"))
    known = row.get("osaurus") or {}
    return ModelCard(
        id=name if provider == LOCAL else name.removeprefix(f"{provider}/"),
        provider=provider,
        endpoint=known.get("endpoint", "cloud"),
        context_length=known.get("context_length"),
        max_output_tokens=known.get("max_output_tokens"),
        price=_price(known.get("price")),
        size_bytes=known.get("size_bytes"),
        capabilities=Capabilities(**known.get("capabilities") or {}),
        created=int(row.get("created") or 0),
    )
