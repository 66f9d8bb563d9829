"""Servers of models that run on this machine and are not set up yet: offered, never added by themselves.

Two ports on 127.0.0.1 are asked, for a moment, and nothing else: no name is looked up, no proxy is used, no redirect is
followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
from pydantic_core import from_json

from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers import Provider
from osaurus_nb.providers.dial import AddressRefused
from osaurus_nb.providers.http import Call, HttpDoor, read_capped

#: Seconds for one look, whatever listens there.
PATIENCE = 0.5
_MAX_LIST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Offer:
    """What is there: `preset` is the name to set it up by, `models` how many it has."""

    preset: str
    title: str
    url: str
    models: int

    @property
    def command(self) -> str:
        return f"osaurus-nb providers add {self.preset}"


class _Place(NamedTuple):
    """Where such a server listens unless told otherwise, and a path that only it answers, with the list's key."""

    preset: str
    title: str
    port: int
    path: str
    rows: str


_PLACES = (
    _Place("ollama", "Ollama", 11434, "/api/tags", "models"),
    _Place("lmstudio", "LM Studio", 1234, "/api/v0/models", "data"),
)


@dataclass(frozen=True, slots=True)
class _ThisMachine:
    """A guard that lets nothing leave this machine."""

    def check(self, host: str, address: str) -> None:
        if not ipaddress.ip_address(address).is_loopback:
            raise AddressRefused(f"{address} is not this machine")

    def check_name(self, host: str) -> None:
        raise AddressRefused("no proxy is asked about this machine")


async def look(known: Iterable[Provider], *, ports: Mapping[str, int] | None = None) -> Sequence[Offer]:
    """What runs here and is not among `known`. `ports` are other ones, by preset."""
    taken = {_port(provider.url) for provider in known if endpoint_class(provider.host) == "loopback"}
    places = [place._replace(port=(ports or {}).get(place.preset, place.port)) for place in _PLACES]
    async with HttpDoor(guard=_ThisMachine()) as door:
        found = await asyncio.gather(*(_ask(door, place) for place in places if place.port not in taken))
    return [offer for offer in found if offer is not None]


def offers(known: Callable[[], Iterable[Provider]]) -> Sequence[Offer]:
    """The same for code that is not async, whatever loop runs around it."""
    with ThreadPoolExecutor(1, "osaurus-offers") as thread:
        return thread.submit(asyncio.run, look(known())).result()


async def _ask(door: HttpDoor, place: _Place) -> Offer | None:
    url = f"http://127.0.0.1:{place.port}"
    call = Call(url + place.path, "GET", connect=PATIENCE, read=PATIENCE, guard=_ThisMachine())
    try:
        async with asyncio.timeout(PATIENCE), door.open(call) as answer:
            if answer.status_code != httpx2.codes.OK:
                return None
            rows = _rows(await read_capped(answer, _MAX_LIST), place.rows)
    except (httpx2.HTTPError, TimeoutError):
        return None
    return None if rows is None else Offer(place.preset, place.title, url, len(rows))


def _rows(body: bytes, key: str) -> list[Any] | None:
    try:
        payload = from_json(body)
    except ValueError:
        return None
    rows = payload.get(key) if isinstance(payload, dict) else None
    return rows if isinstance(rows, list) else None


def _port(url: str) -> int | None:
    return urlsplit(url).port
