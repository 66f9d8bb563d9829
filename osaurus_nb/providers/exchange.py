"""One streamed exchange: send a call, feed its answer to a decoder, hand on the events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import httpx2

from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event
from osaurus_nb.providers.http import Answer, Call, HttpDoor, capped, read_capped, read_start, translate
from osaurus_nb.wire import EventDecoder

#: Makes the error for an answer that is not a 200, from its head and its body.
Refusal = Callable[[Answer, bytes], OsaurusError]


async def exchange(
    door: HttpDoor, call: Call, decoder: EventDecoder, refusal: Refusal, *, who: tuple[str, str]
) -> AsyncGenerator[Event, None]:
    """The events of one answer. `who` is provider and model, for the sentence of a fault."""
    begun = False
    try:
        async with door.open(call) as response:
            begun = True
            if response.status_code != httpx2.codes.OK:
                raise refusal(response, await read_start(response))
            async for data in capped(response):
                for event in decoder.feed(data):
                    yield event
                if decoder.done:
                    break
            for event in decoder.close():
                yield event
    except httpx2.HTTPError as exc:
        raise translate(exc, provider=who[0], model=who[1], begun=begun) from exc


async def fetch(door: HttpDoor, call: Call, refusal: Refusal, *, provider: str) -> bytes:
    """The whole body of one answer, capped."""
    begun = False
    try:
        async with door.open(call) as response:
            begun = True
            if response.status_code != httpx2.codes.OK:
                raise refusal(response, await read_start(response))
            return await read_capped(response)
    except httpx2.HTTPError as exc:
        raise translate(exc, provider=provider, begun=begun) from exc
