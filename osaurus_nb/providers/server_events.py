"""Server-sent events without an end: the JSON of each, for as long as the connection stands."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx2

from osaurus_nb.errors import BadAnswer
from osaurus_nb.providers.exchange import Refusal
from osaurus_nb.providers.http import Call, HttpDoor, read_capped, translate
from osaurus_nb.wire import _sse


async def server_events(
    door: HttpDoor, call: Call, refusal: Refusal, *, provider: str
) -> AsyncGenerator[Mapping[str, Any], None]:
    """Each event's object, as it comes. Raises what `refusal` makes of an answer that is not a 200."""
    reader = _sse.Reader()
    try:
        async with door.open(call) as response:
            if response.status_code != httpx2.codes.OK:
                raise refusal(response, await read_capped(response))
            async for data in response.stream:  # one line has a limit, the whole has none
                for event in reader.feed(data):
                    yield _object(event.data, provider)
    except httpx2.HTTPError as exc:
        raise translate(exc, provider=provider) from exc
    except _sse.LineTooLong:
        raise BadAnswer(f"'{provider}' sent a line that does not end.", provider=provider) from None


def _object(data: bytes, provider: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(f"'{provider}' sent an event that is no object.", provider=provider)
    return found
