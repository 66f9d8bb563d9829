"""Looks at one provider step by step: name, connection, TLS, key, models, one token. Says what it found, keeps nothing.

Nothing that costs is asked unless it is asked for. What is told holds no key and no word of a provider.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import httpx2

from osaurus_nb.catalog.capabilities import talks
from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers import Provider
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Finished, ReasoningDelta, TextDelta, UsageReported
from osaurus_nb.messages import user
from osaurus_nb.models import LOCAL, Diagnosis, ModelCard, Usage
from osaurus_nb.ports import Adapter, Attempt, Step
from osaurus_nb.providers.connections import Connectable
from osaurus_nb.providers.diagnosis import AGAIN, diagnose
from osaurus_nb.providers.dial import AddressPolicy, TlsFailed, dial, resolve
from osaurus_nb.providers.faults import translate
from osaurus_nb.providers.remote import RemoteAdapter
from osaurus_nb.request import ChatRequest, Sampling

Verdict = Literal["ok", "failed", "skipped"]

#: Seconds for each step below the API, and for the one question.
STEP_TIMEOUT, QUESTION_TIMEOUT = 10.0, 60.0
#: Room for a model that thinks before its first word.
_ROOM = 16
_NETWORK = ("name", "connection", "tls")
_TYPED = AddressPolicy(private=True)


@dataclass(frozen=True, slots=True)
class Check:
    """One step: what came of it, in how many seconds."""

    step: str
    verdict: Verdict
    told: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """All steps of one provider. `about` says what it is; `settings` are there for one that the user set up."""

    provider: str
    about: str
    checks: Sequence[Check]
    settings: Provider | None = field(default=None, repr=False)

    @property
    def well(self) -> bool:
        return all(check.verdict != "failed" for check in self.checks)


class _Place(NamedTuple):
    host: str
    port: int
    tls: bool


async def examine(adapter: Adapter, *, token: bool = False, model: str | None = None) -> Examination:
    """All steps. With `token` a word is asked of `model`, or of the first that chats: that may cost."""
    settings = adapter.settings if isinstance(adapter, RemoteAdapter) else None
    checks = [check async for check in _steps(adapter, settings, token=token, model=model)]
    return Examination(adapter.provider, _about(adapter, settings), checks, settings)


async def _steps(
    adapter: Adapter, settings: Provider | None, *, token: bool, model: str | None
) -> AsyncGenerator[Check, None]:
    if settings is not None:
        reached = True
        async for check in _network(_place(settings), settings.slug):
            reached = reached and check.verdict != "failed"
            yield check
        if not reached:
            for step in ("key", "models", "token"):
                yield Check(step, "skipped", "It was not reached.")
            return
    cards, checks = await _listing(adapter, settings)
    for check in checks:
        yield check
    if cards is None:
        yield Check("token", "skipped", "There is no list to choose a model from.")
    elif not token:
        yield Check("token", "skipped", "Not asked for, as it may cost: --token.")
    else:
        yield await _question(adapter, cards, model)


async def _network(place: _Place, who: str) -> AsyncGenerator[Check, None]:
    """Each step by itself, as the HTTP client takes them together. After a failure the rest is skipped."""
    steps = (_name, _connection, _tls) if place.tls else (_name, _connection)
    done = 0
    for step, look in zip(_NETWORK, steps, strict=False):
        began = time.perf_counter()
        try:
            async with asyncio.timeout(STEP_TIMEOUT):
                told = await look(place)
        except (httpx2.HTTPError, OSError, TimeoutError) as exc:
            fault = _foreign(exc, step, place.host)
            error = translate(fault, provider=who)
            error.__cause__ = fault
            yield _failed(step, diagnose(error, who=who, host=place.host), began)
            break
        yield Check(step, "ok", told, time.perf_counter() - began)
        done += 1
    if done == len(steps) and not place.tls:
        yield Check("tls", "skipped", "It is asked over plain http.")
    for step in _NETWORK[done + 1 :] if done < len(steps) else ():
        yield Check(step, "skipped", "It was not reached.")


async def _name(place: _Place) -> str:
    found = await resolve(place.host, place.port, _TYPED)
    if _literal(place.host):
        return "It is an address: there is no name to look up."
    kinds = sorted({"IPv6" if family == socket.AF_INET6 else "IPv4" for family, _ in found})
    return f"{len(found)} {'address' if len(found) == 1 else 'addresses'}, {' and '.join(kinds)}."


async def _connection(place: _Place) -> str:
    sock = await dial(place.host, place.port, _TYPED)
    sock.close()
    return f"Port {place.port} is open."


async def _tls(place: _Place) -> str:
    sock = await dial(place.host, place.port, _TYPED)
    _, writer = await asyncio.open_connection(sock=sock, ssl=httpx2.create_ssl_context(), server_hostname=place.host)
    try:
        spoken: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return f"{spoken.version()}, and the certificate is the host's."
    finally:
        writer.transport.abort()


async def _listing(adapter: Adapter, settings: Provider | None) -> tuple[Sequence[ModelCard] | None, list[Check]]:
    """The models, and what that says of the key."""
    began = time.perf_counter()
    keyed = settings is None or settings.needs_key
    try:
        cards = await adapter.models()
    except OsaurusError as error:
        found = diagnose(error, who=adapter.provider, host=adapter.host if isinstance(adapter, Connectable) else "")
        if found.bucket in ("missing-credential", "auth-rejected", "oauth-token-missing"):
            return None, [_failed("key", found, began), Check("models", "skipped", "Without a key there is no list.")]
        return None, [Check("key", "skipped", "Nothing was said of it."), _failed("models", found, began)]
    if settings is not None and not settings.lists_models:
        key = Check("key", "skipped", "This server lists no models; only a question would tell: --token.")
        return cards, [key, Check("models", "ok", f"{len(cards)} were added by hand.")]
    if settings is not None:
        key = Check("key", "ok", "The list was given with it." if keyed else "None is needed for the list.")
    models = Check("models", _worth(adapter, cards), _counted(adapter, cards), time.perf_counter() - began)
    return cards, [models] if settings is None else [key, models]


async def _question(adapter: Adapter, cards: Sequence[ModelCard], model: str | None) -> Check:
    names = {name: card for card in cards for name in (card.id, card.name)}
    card = names.get(model or "") or next((card for card in cards if model is None and talks(card)), None)
    if card is None:
        return Check(
            "token", "skipped", "It lists no model that chats." if model is None else "It lists no such model."
        )
    began = time.perf_counter()
    try:
        async with asyncio.timeout(QUESTION_TIMEOUT):
            first, usage = await _ask(adapter, card)
    except TimeoutError:
        return Check("token", "failed", f"{card.id} was too slow.", time.perf_counter() - began)
    except OsaurusError as error:
        found = diagnose(error, who=adapter.provider, host=adapter.host if isinstance(adapter, Connectable) else "")
        return _failed("token", found, began, card.id)
    used = f", {usage.total_input} tokens in and {usage.total_output} out" if usage is not None else ""
    wait = f" after {first - began:.2f} s" if first is not None else ", without a word"
    return Check("token", "ok", f"{card.id} answered{wait}{used}.", time.perf_counter() - began)


async def _ask(adapter: Adapter, card: ModelCard) -> tuple[float | None, Usage | None]:
    id = uuid.uuid4().hex
    request = ChatRequest(card.name, (user("Say hi."),), sampling=Sampling(max_output_tokens=_ROOM))
    first, usage = None, None
    attempt = Attempt(Step(id, id, card.name, time.monotonic()))
    async with aclosing(adapter.stream(request, card, attempt)) as events:
        async for event in events:
            match event:
                case TextDelta() | ReasoningDelta() if first is None:
                    first = time.perf_counter()
                case UsageReported():
                    usage = event.usage
                case Finished():
                    break
                case _:
                    pass
    return first, usage


def _failed(step: str, found: Diagnosis, began: float, model: str = "") -> Check:
    said = f"{model}: {found}" if model else str(found)
    said = said.removesuffix(AGAIN).rstrip()  # not by the doctor
    return Check(step, "failed", f"{said} [{found.bucket}]", time.perf_counter() - began)


def _foreign(exc: Exception, step: str, host: str) -> Exception:
    """What the HTTP client would have raised."""
    if isinstance(exc, TimeoutError):
        if step == "tls":
            return TlsFailed(f"the TLS handshake with {host} came to no end")
        return httpx2.ConnectTimeout("no connection in time")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return TlsFailed(f"the certificate of {host} was not accepted: {exc.verify_message}")
    return TlsFailed(f"the TLS handshake with {host} failed") if isinstance(exc, OSError) else exc


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _worth(adapter: Adapter, cards: Sequence[ModelCard]) -> Verdict:
    if cards:
        return "ok"
    return "skipped" if adapter.provider == LOCAL else "failed"


def _counted(adapter: Adapter, cards: Sequence[ModelCard]) -> str:
    if not cards:
        return "None is here yet: `osaurus-nb pull`." if adapter.provider == LOCAL else "Its list is empty."
    chat = sum(talks(card) for card in cards)
    return f"{len(cards)} listed, {chat} of them to chat with."


def _place(settings: Provider) -> _Place:
    parts = urlsplit(settings.url)
    tls = parts.scheme == "https"
    return _Place(parts.hostname or "", parts.port or (443 if tls else 80), tls)


def _about(adapter: Adapter, settings: Provider | None) -> str:
    if settings is None:
        return adapter.host if isinstance(adapter, Connectable) else "this machine"
    key = f"key from {settings.key_variable}" if settings.key_variable else "a stored key"
    parts = [settings.format, settings.url, key if settings.needs_key else "no key", endpoint_class(settings.host)]
    return " · ".join(parts)
