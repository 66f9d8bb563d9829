"""The hosted Router as one more source of models: there by itself while there is an identity, never saved.

Each request is signed anew over bytes that stay the same for a step, so that an automatic retry is charged once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from osaurus_nb.catalog.families import quirks
from osaurus_nb.catalog.prices import listed
from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.settings import ROUTER_URL
from osaurus_nb.errors import NoIdentity, OsaurusError
from osaurus_nb.events import Event
from osaurus_nb.identity.signer import Signer
from osaurus_nb.models import LOCAL_CLASSES, ROUTER, ModelCard
from osaurus_nb.ports import Attempt, Clock, SystemClock
from osaurus_nb.providers.exchange import exchange
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router_account import RouterAccount
from osaurus_nb.providers.router_calls import SignedCalls
from osaurus_nb.providers.router_gate import refuse_spending
from osaurus_nb.request import ChatRequest
from osaurus_nb.spending import Tariff
from osaurus_nb.wire import osaurus_router
from osaurus_nb.wire.osaurus_router import faults

log = logging.getLogger("osaurus_nb")

CHAT = "/v1/chat/completions"
#: Seconds in which its list of models must be there.
LIST_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """`enabled` is the user's switch. Another `url` is for a server of one's own, also on this machine."""

    url: str = ROUTER_URL
    enabled: bool = True
    #: Seconds of silence that are borne.
    timeout: float = 120.0


class RouterAdapter:
    """Asks the Router in the name of one identity."""

    provider = ROUTER
    #: Once it is there it connects by itself.
    auto_connect = True

    def __init__(self, settings: RouterSettings, calls: SignedCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._twin: RouterAdapter | None = None

    @property
    def host(self) -> str:
        return self._calls.host

    def mark(self) -> int:
        """Differs when the identity does."""
        return hash(self.address)

    @property
    def address(self) -> str:
        """Who pays."""
        return self._calls.address

    def confined(self) -> RouterAdapter | None:
        """One of your own, held to this machine and its networks; None for the hosted one."""
        if self._twin is None and endpoint_class(self.host) in LOCAL_CLASSES:
            self._twin = RouterAdapter(self._settings, self._calls.confined())
            self._twin._twin = self._twin
        return self._twin

    async def models(self) -> Sequence[ModelCard]:
        """What it offers now, with prices. A model whose price is stale is hidden."""
        payload = await self._calls.ask("GET", "/models", within=LIST_TIMEOUT)
        return [self.dress(card) for card in osaurus_router.decode_models(payload, ROUTER)]

    def tariff(self, card: ModelCard) -> Tariff | None:
        """What its list says. What it charged in the end it tells itself."""
        return None if card.price is None else listed(card.price)

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        if not attempt.step.terms.spends:
            raise refuse_spending(card.name)
        card = self.dress(card)
        encoded = osaurus_router.encode_request(request, card)
        for warning in encoded.warnings:
            yield warning
        frozen = freeze(encoded.body, attempt)
        decoder = osaurus_router.RouterDecoder(card, frozen.key)
        call = self._calls.signed("POST", CHAT, frozen.content)
        call = replace(call, connect=attempt.timeouts.connect, read=self._settings.timeout)
        answer = exchange(self._calls.door, call, decoder, self._calls.refusal(card), who=(ROUTER, card.id))
        try:
            async with aclosing(answer) as events:
                async for event in events:
                    yield event
        finally:
            if decoder.ended:
                _note(decoder, card, frozen.key)

    async def aclose(self) -> None:
        """The door belongs to the runtime and is closed there."""

    def dress(self, card: ModelCard) -> ModelCard:
        return replace(card, endpoint=endpoint_class(self.host), quirks=quirks(card.id, self.host))


def freeze(body: dict[str, object], attempt: Attempt) -> osaurus_router.Frozen:
    """The bytes of this step. Every attempt of it has the same; a user's Retry is a step of its own."""
    step = attempt.step
    return osaurus_router.freeze(body, run=step.request_id, step=step.id, given=attempt.idempotency_key)


class RouterSource:
    """The Router while it is there: with an identity and the switch on.

    `identity` is asked each time and must be cheap; another address gets another adapter, so that nothing that was
    learnt for one identity is told to the next. While the vault is locked there is no Router, and all else goes on.
    """

    def __init__(
        self,
        settings: RouterSettings,
        identity: Callable[[], Signer | None],
        door: HttpDoor,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._door = door
        self._clock = clock or SystemClock()
        self._adapter: RouterAdapter | None = None
        self._account: RouterAccount | None = None
        self._said: str | None = None

    def current(self) -> RouterAdapter | None:
        """What asks it now, or None. Never raises."""
        try:
            self._follow()
        except OsaurusError as error:
            self._adapter = self._account = None
            if error.code != self._said:
                log.warning("The Osaurus Router is not there: %s", error)
            self._said = error.code
        else:
            self._said = None
        return self._adapter

    def account(self) -> RouterAccount:
        """The account behind the identity. Raises NoIdentity, or what keeps the identity from being read."""
        self._follow()
        if self._account is None:
            raise NoIdentity(faults.NO_IDENTITY, provider=ROUTER)
        return self._account

    def _follow(self) -> None:
        signer = self._identity() if self._settings.enabled else None
        if signer is None:
            self._adapter = self._account = None
        elif self._adapter is None or self._adapter.address != signer.address:
            calls = SignedCalls(self._settings.url, signer, self._door, self._clock)
            self._adapter, self._account = RouterAdapter(self._settings, calls), RouterAccount(calls, self._clock)


def router_source(
    settings: RouterSettings, identity: Callable[[], Signer | None], door: HttpDoor, *, clock: Clock | None = None
) -> RouterSource:
    """The Router for `identity`, which gives the one that signs, or None while there is none."""
    return RouterSource(settings, identity, door, clock=clock)


def _note(decoder: osaurus_router.RouterDecoder, card: ModelCard, key: str) -> None:
    """What support needs to find an answer that was paid for and never seen. No content."""
    if decoder.emptiness is osaurus_router.Emptiness.NON_EMPTY:
        return
    charge = decoder.charge
    log.warning(
        "[Osaurus][Router][EmptyStream] class=%s model=%s bytes=%d events=%d status=%s cost_micro=%s key=…%s",
        decoder.emptiness.value,
        card.id,
        decoder.size,
        decoder.events,
        (charge.status or "?") if charge is not None else "none",
        charge.cost_micro if charge is not None else "none",
        key[-12:],
    )
