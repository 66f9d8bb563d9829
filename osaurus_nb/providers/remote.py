"""One adapter for every provider that is reached over HTTP; the dialect and the address are data."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from osaurus_nb import wire
from osaurus_nb.catalog.capabilities import enriched
from osaurus_nb.catalog.families import quirks
from osaurus_nb.catalog.forwarders import forwards
from osaurus_nb.catalog.prices import GRATIS, listed, price, tariff
from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers import Provider
from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import CredentialRejected, OsaurusError, ProviderError, TooSlow
from osaurus_nb.events import Event, Warned, is_token
from osaurus_nb.models import LOCAL_CLASSES, ModelCard, Price, TokenCount
from osaurus_nb.ports import Attempt, SystemClock, Timeouts
from osaurus_nb.providers.deciding import OwnEndpoint
from osaurus_nb.providers.dial import AT_HOME, Guard
from osaurus_nb.providers.discovery import discover, read_object
from osaurus_nb.providers.exchange import Refusal, exchange, fetch
from osaurus_nb.providers.http import AddressPolicy, Answer, Call, HttpDoor, status_error
from osaurus_nb.providers.key_pool import Key, KeyPool, Trial
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.spending import Tariff
from osaurus_nb.wire import Carried, Cutting, Encoded, embeddings
from osaurus_nb.wire._counting import CountFormat
from osaurus_nb.wire.body import content

log = logging.getLogger("osaurus_nb")

#: What a provider's timeout is where nobody chose one; it bounds the silence on the wire, in seconds.
DEFAULT_TIMEOUT = 60.0
#: Seconds within which a provider must have listed its models.
LIST_TIMEOUT = 30.0
#: A provider that counts no tokens says so with one of these.
_NO_COUNT = frozenset({404, 405, 501})
#: The user typed the host, so it may be on this machine or in its networks.
_TYPED = AddressPolicy(private=True)


class RemoteAdapter:
    """Speaks the dialect of one provider through the one HTTP door.

    `keys` gives its keys when they are needed, the preferred one first, `secret_header` the value of a secret header
    by its name; `ready` is awaited before, for they may lie where the user has to be asked first. `own_price` is what
    the user says that a model of this name costs.
    """

    def __init__(
        self,
        settings: Provider,
        door: HttpDoor,
        *,
        keys: Callable[[], Iterable[Key]],
        secret_header: Callable[[str], str | None] = lambda name: None,
        ready: Callable[[], Awaitable[None]] | None = None,
        own_price: Callable[[str], Price | None] = lambda name: None,
    ) -> None:
        self.settings = settings
        self._codec = wire.load(settings.format)
        self._door = door
        self._keys = keys
        self._secret_header = secret_header
        self._ready = ready
        self._own_price = own_price
        self._guard: Guard = _TYPED
        self._twin: RemoteAdapter | None = None
        #: What the provider's own list says; cards have prices of the table as well.
        self._listed: dict[str, Price] = {}
        self._pool = KeyPool(SystemClock(), os.urandom(32))
        self._endpoint = endpoint_class(settings.host)
        self._uncounted: set[str] = set()
        self._decisions = OwnEndpoint(settings.format, self.ask)

    @property
    def provider(self) -> str:
        return self.settings.slug

    @property
    def dialect(self) -> str:
        """The format that it speaks, as settings name it: a caller of the same one may be relayed."""
        return self.settings.format

    @property
    def host(self) -> str:
        """Where it is, for the sentences of a diagnosis."""
        return f"{self.settings.host}:{self.settings.port}" if self.settings.port else self.settings.host

    @property
    def auto_connect(self) -> bool:
        return self.settings.auto_connect

    def confined(self) -> RemoteAdapter | None:
        """The same, held to this machine and its networks; None where its address is not known to be there.

        Keys, and what was learnt of them and of models, are one for both. Connections never are.
        """
        if self._guard is AT_HOME:
            return self
        if self._twin is None and self._endpoint in LOCAL_CLASSES:
            self._twin = copy.copy(self)
            self._twin._guard = AT_HOME
            self._twin._decisions = OwnEndpoint(self.settings.format, self._twin.ask)
        return self._twin

    def mark(self) -> int:
        """Another number for another credential, which cannot be had from it."""
        try:
            keys = tuple(key.value for key in self._keys())
            return hash((keys, *map(self._secret_header, self.settings.secret_headers)))
        except OsaurusError:  # none can be had now
            return 0

    def patience(self, within: Timeouts) -> Timeouts:
        """The deadlines for a question: the longer timeout that the user gave this provider is not undercut."""
        given = self.settings.timeout
        if given is None:
            return replace(within, first_token=None, between_tokens=None, total=None)
        if given <= DEFAULT_TIMEOUT:
            return within
        first, between, total = (
            None if limit is None else max(limit, given)
            for limit in (within.first_token, within.between_tokens, within.total)
        )
        return replace(within, first_token=first, between_tokens=between, total=total)

    async def models(self) -> Sequence[ModelCard]:
        """What it lists, on however many pages, and the ids that the user added by hand."""
        span = min(max(self.settings.timeout or LIST_TIMEOUT, 1.0), LIST_TIMEOUT)
        try:
            async with asyncio.timeout(span):
                cards = await discover(self.settings, self._codec, self._page)
                self._note_prices(cards)
                # The first time it reads tables, for which no kernel's message should wait.
                return await asyncio.to_thread(self._described, cards)
        except TimeoutError:
            raise TooSlow(f"'{self.provider}' did not list its models in time.", provider=self.provider) from None

    def _note_prices(self, cards: Sequence[ModelCard]) -> None:
        """In place, for the twin has them too; and without a moment in which a price is missing."""
        said = {card.id: card.price for card in cards if card.price is not None}
        self._listed.update(said)
        for id in self._listed.keys() - said.keys():
            del self._listed[id]

    async def _page(self, path: str) -> bytes:
        def call(key: str | None) -> Call:
            return Call(self.settings.url + path, "GET", self._headers(key), read=LIST_TIMEOUT, guard=self._guard)

        body, _ = await self._fetch(call, await self._trial("models"))
        return body

    def tariff(self, card: ModelCard) -> Tariff | None:
        """What it takes by the user's word, else by the provider's list, else by the table. At home: nothing.

        The first time it reads the table: not on an event loop.
        """
        if (own := self._own_price(card.name)) is not None:
            return listed(own, "user")
        if (said := self._listed.get(card.id)) is not None:
            return listed(said)
        known = tariff(card.id, self.settings.url)
        return GRATIS if known is None and self.dress(card).endpoint in LOCAL_CLASSES else known

    def _described(self, cards: Sequence[ModelCard]) -> list[ModelCard]:
        """With what is known of them here; of models at home that is what the user or their server says."""
        dressed = [replace(card, price=self._own_price(card.name) or card.price) for card in map(self.dress, cards)]
        if self._endpoint in LOCAL_CLASSES:
            return dressed
        known = (enriched(card, self.settings.host) for card in dressed)
        return [replace(card, price=card.price or price(card.id, self.settings.url)) for card in known]

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        card = self.dress(card)
        carried = self._carry(request, card, attempt.sent)
        encoded = carried.encoded
        for warning in encoded.warnings:
            yield warning
        trial = await self._trial(card.id, card)
        for warning in trial.skipped:
            yield warning
        while True:
            gate, answer = _Gate(hold=not trial.alone), self._answer(carried, card, trial, attempt)
            try:
                async with aclosing(answer) as events:
                    async for event in events:
                        if gate.open:
                            yield event
                        else:
                            for ready in gate.admit(event):
                                yield ready
                trial.worked()
            except ProviderError as fault:
                if gate.open:
                    trial.failed(fault)
                    raise
                yield trial.replaced(fault)
            else:
                for ready in gate.held:
                    yield ready
                return
            carried = self._carry(request, card, attempt.sent)

    def _answer(self, carried: Carried, card: ModelCard, trial: Trial, attempt: Attempt) -> AsyncGenerator[Event, None]:
        """What comes with the trial's key."""
        encoded, key = carried.encoded, _value(trial.key)
        call = self._call(encoded, encoded.path or self._codec.endpoint(card), key, attempt.timeouts)
        decoder = Cutting(carried.decoder, encoded.cut) if encoded.cut else carried.decoder
        return exchange(self._door, call, decoder, self._refusal(key, card), who=(self.provider, card.id))

    def _carry(self, request: ChatRequest, card: ModelCard, sent: Sent | None) -> Carried:
        """The question in our dialect: in the caller's own words where they can stay."""
        if sent is None:
            return Carried(self._codec.encode_request(request, card), self._codec.event_decoder(card))
        if (carried := self._codec.relay(sent, request, card)) is not None:
            return carried
        whole = sent.read()
        encoded = self._codec.encode_request(whole, card)
        warnings = (*whole.warnings, *encoded.warnings)
        return Carried(replace(encoded, warnings=warnings), self._codec.event_decoder(card))

    async def count_tokens(self, request: ChatRequest, card: ModelCard, timeouts: Timeouts) -> TokenCount | None:
        """As the provider counts; None where its dialect or its server has no such thing, asked once a model."""
        codec, card = self._codec, self.dress(card)
        if not isinstance(codec, CountFormat) or card.id in self._uncounted:
            return None
        return await self._counted(codec, codec.encode_count(request, card), card, timeouts)

    async def count_sent(
        self, sent: Sent, request: ChatRequest, card: ModelCard, timeouts: Timeouts
    ) -> TokenCount | None:
        codec, card = self._codec, self.dress(card)
        if not isinstance(codec, CountFormat) or card.id in self._uncounted:
            return None
        carried = self._codec.relay(sent, request, card)
        return None if carried is None else await self._counted(codec, carried.encoded, card, timeouts)

    async def _counted(
        self, codec: CountFormat, encoded: Encoded, card: ModelCard, timeouts: Timeouts
    ) -> TokenCount | None:
        try:
            payload = await self.ask(codec.count_endpoint(card), encoded, card, timeouts)
        except ProviderError as error:
            if error.upstream_status not in _NO_COUNT:
                raise
            self._uncounted.add(card.id)
            return None
        return codec.decode_count_answer(payload, card)

    async def embed(self, request: EmbeddingRequest, card: ModelCard, timeouts: Timeouts) -> Embeddings:
        """One vector for each text, asked in as many calls as the provider takes texts at once."""
        codec, card = embeddings.load(self.settings.format, self.provider), self.dress(card)
        answers = []
        for part in embeddings.parts(request, codec.MAX_TEXTS):
            encoded = codec.encode_request(part, card)
            payload, skipped = await self._asked(codec.endpoint(card), encoded, card, timeouts)
            answer = codec.decode_response(payload, card, part)
            answers.append(replace(answer, warnings=(*encoded.warnings, *skipped)))
        return embeddings.joined(answers)

    async def decide(self, request: DecisionRequest, card: ModelCard, timeouts: Timeouts) -> Decisions | None:
        """What the provider's own endpoint decides; None where it has none."""
        return await self._decisions.decide(request, self.dress(card), timeouts)

    async def ask(self, path: str, encoded: Encoded, card: ModelCard, timeouts: Timeouts) -> Mapping[str, Any]:
        """One question that is answered in one piece, e.g. a count: the JSON object that came back."""
        payload, _ = await self._asked(path, encoded, card, timeouts)
        return payload

    async def _asked(
        self, path: str, encoded: Encoded, card: ModelCard, timeouts: Timeouts
    ) -> tuple[Mapping[str, Any], Sequence[Warned]]:
        """The same, and what is to be told of keys."""
        trial = await self._trial(f"{card.id} at {path}", card)
        try:
            async with asyncio.timeout(self.patience(timeouts).total):
                body, skipped = await self._fetch(lambda key: self._call(encoded, path, key, timeouts), trial, card)
        except TimeoutError:
            raise TooSlow(f"'{card.name}' was too slow.", provider=self.provider, model=card.id) from None
        return read_object(body, self.provider, "answered"), skipped

    async def _fetch(
        self, call: Callable[[str | None], Call], trial: Trial, card: ModelCard | None = None
    ) -> tuple[bytes, Sequence[Warned]]:
        """The body that came with the first key that is good for it, and what is to be told of the others."""
        skipped = [*trial.skipped]
        while True:
            key = _value(trial.key)
            asked, refusal = call(key), self._refusal(key, card)
            try:
                body = await fetch(self._door, asked, refusal, provider=self.provider)
            except ProviderError as fault:
                skipped.append(trial.replaced(fault))
                log.warning("%s", skipped[-1].message)  # not every answer has room for a warning
            else:
                trial.worked()
                return body, skipped

    async def aclose(self) -> None:
        """The door belongs to the runtime and is closed there."""

    def _call(self, encoded: Encoded, path: str, key: str | None, timeouts: Timeouts) -> Call:
        headers = {**self._headers(key), **encoded.headers, "content-type": "application/json"}
        return Call(
            self.settings.url + path,
            headers=headers,
            content=content(encoded.body),
            connect=timeouts.connect,
            read=self.settings.timeout,
            guard=self._guard,
        )

    def _headers(self, key: str | None) -> dict[str, str]:
        """The user's own headers win over ours, in whatever case they were written; secret ones over clear ones."""
        clear = {name.lower(): value for name, value in self.settings.headers.items()}
        return self._auth(key) | clear | self._secret_headers()

    def _auth(self, key: str | None) -> dict[str, str]:
        """The key where the dialect wants it, or where the user said."""
        name = self.settings.key_header
        if key is None or name is None:
            return self._codec.auth(key)
        own = {"authorization": f"Bearer {key}"} if name == "bearer" else {name.lower(): key}
        return self._codec.auth(None) | own

    def _secret_headers(self) -> dict[str, str]:
        found = {name.lower(): self._secret_header(name) for name in self.settings.secret_headers}
        if (missing := next((name for name, value in found.items() if not value), None)) is not None:
            raise CredentialRejected(
                f"No value for the secret header '{missing}' of '{self.provider}'. Name the variable that holds it: "
                f"`osaurus-nb providers edit {self.provider} --secret-header {missing}=VARIABLE`.",
                provider=self.provider,
            )
        return {name: value for name, value in found.items() if value}

    async def _trial(self, about: str, card: ModelCard | None = None) -> Trial:
        """The keys to ask with, one after the other. Raises CredentialRejected where it needs one and there is none."""
        if self._ready is not None and (self.settings.needs_key or self.settings.secret_headers):
            await self._ready()
        trial = self._pool.trial(self._keys() if self.settings.needs_key else (), about, provider=self.provider)
        if trial.key is None and self.settings.needs_key:
            known = self.settings.key_variable
            where = f"set {known} where osaurus runs" if known else "name a variable with `--key-env`"
            raise CredentialRejected(
                f"No key for '{self.provider}'. Type it in at `osaurus-nb providers key {self.provider}`, or {where}.",
                provider=self.provider,
                model=card.id if card is not None else None,
            )
        return trial

    def _refusal(self, key: str | None, card: ModelCard | None = None) -> Refusal:
        secrets = [key] if key else []
        if self.settings.secret_headers:
            secrets += self._secret_headers().values()

        def refusal(response: Answer, body: bytes) -> OsaurusError:
            return status_error(
                response.status_code,
                response.headers,
                body,
                provider=self.provider,
                model=card.id if card is not None else None,
                secrets=secrets,
            )

        return refusal

    def dress(self, card: ModelCard) -> ModelCard:
        """What we know of a model beyond what the provider says."""
        where = "cloud" if forwards(card) else self._endpoint
        return replace(card, endpoint=where, quirks=quirks(card.id, self.settings.host))


class _Gate:
    """Holds events back until the model writes, so that another key may still begin anew."""

    def __init__(self, *, hold: bool) -> None:
        self.open = not hold
        self.held: list[Event] = []

    def admit(self, event: Event) -> Sequence[Event]:
        """What may be shown now that this came."""
        self.held.append(event)
        if not is_token(event):
            return ()
        self.open = True
        ready, self.held = self.held, []
        return ready


def _value(key: Key | None) -> str | None:
    return key.value if key is not None else None
