"""Responses that callers may come back to: kept for a stated time, encrypted, each for its owner alone.

Why a file, and why SQLCipher: a day of long conversations with images is more than a server should hold in memory,
which it shares with local models; and prompts must not reach a disk in clear. Unless a key is given, the file has no
name and its key is nowhere but in this process, so that a restart forgets every response. With a key of the user's own
responses outlive the process, and processes with the same key share them.

What is refused: an owner sees nothing of another's, not even that it exists. What has expired or was deleted cannot be
retrieved or continued; its words stay, encrypted, as long as a kept response goes on from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from osaurus_nb.errors import RequestError
from osaurus_nb.gateway._cipher import StoreFailed, named, nameless, told
from osaurus_nb.gateway._shelf import Bounds, Conversation, Items, NotKept, Row, Shelf
from osaurus_nb.ports import Clock, SystemClock

T = TypeVar("T")
Order = Literal["asc", "desc"]

_FILE = "responses.sqlite"
_PAGE = 100
#: More of an id than this is not repeated to who sent it.
_LONGEST = 100


class ResponseNotFound(RequestError):
    status, code = 404, "not_found"

    def __init__(self, id: str, why: str = "Responses are kept for a while only.") -> None:
        super().__init__(f"There is no response '{id[:_LONGEST]}' here. {why}")


class PreviousNotFound(RequestError):
    code = "previous_response_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="previous_response_id")


class ResponseStore:
    """The store as coroutines: everything happens on one thread of its own, off the event loop."""

    def __init__(
        self, folder: Path, *, bounds: Bounds | None = None, key: bytes | None = None, clock: Clock | None = None
    ) -> None:
        self._folder = folder
        self._key = key
        self._bounds = bounds or Bounds()
        self._clock = clock or SystemClock()
        self._thread = ThreadPoolExecutor(1, "osaurus-responses")
        self._shelf: Shelf | None = None

    def __repr__(self) -> str:
        return f"ResponseStore({self._bounds})"

    @property
    def ready(self) -> bool:
        return self._shelf is not None

    async def open(self) -> None:
        """Ready to keep. Raises StoreFailed."""
        await self._do(lambda shelf, now: None)

    async def keep(self, owner: str, body: Mapping[str, Any], input: Items, *, previous: str | None = None) -> None:
        """Keep a response and the items that its request added. Raises NotKept or StoreFailed."""
        row = _row(body, input, previous)
        await self._do(lambda shelf, now: shelf.put(owner, row, now))

    def keep_soon(self, owner: str, body: Mapping[str, Any], input: Items, *, previous: str | None = None) -> None:
        """The same for whoever cannot wait; that it was not kept is told to nobody."""
        row = _row(body, input, previous)
        self._thread.submit(self._on_thread, lambda shelf, now: shelf.put(owner, row, now))

    async def body(self, owner: str, id: str) -> bytes:
        """The response as JSON. Raises ResponseNotFound."""
        return _found(await self._do(lambda shelf, now: shelf.body(owner, id, now)), id)

    async def conversation(self, owner: str, id: str) -> Conversation:
        """All that was said up to its end. Raises ResponseNotFound."""
        return _found(await self._do(lambda shelf, now: shelf.conversation(owner, id, now)), id)

    async def continued(self, owner: str, id: str) -> Items:
        """The items that a request goes on from. Raises PreviousNotFound, RequestError for one that has no end."""
        found = await self._do(lambda shelf, now: shelf.conversation(owner, id, now))
        if found is None:
            raise PreviousNotFound("There is no such response here. Send the whole conversation as 'input' instead.")
        if found.status not in ("completed", "incomplete") or any(map(_cut, found.output)):
            raise RequestError(
                "This response broke off and cannot be continued; go on from the one before it.",
                param="previous_response_id",
            )
        return found.items

    async def items(self, owner: str, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """The stored items of these ids, as far as there are any."""
        wanted = list(ids)
        return await self._do(lambda shelf, now: shelf.items(owner, wanted, now))

    async def forget(self, owner: str, id: str) -> None:
        """Keep it no longer. Raises ResponseNotFound."""
        if not await self._do(lambda shelf, now: shelf.forget(owner, id, now)):
            raise ResponseNotFound(id)

    async def aclose(self) -> None:
        """What was begun is done first."""
        if self._shelf is not None:
            self._thread.submit(self._shelf.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def _do(self, work: Callable[[Shelf, float], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._on_thread, work)

    def _on_thread(self, work: Callable[[Shelf, float], T]) -> T:
        if self._shelf is None:
            self._shelf = self._opened()
        return work(self._shelf, self._clock.now().timestamp())

    def _opened(self) -> Shelf:
        with told():
            connection = nameless(self._folder) if self._key is None else named(self._folder / _FILE, self._key)
        return Shelf(connection, self._bounds)


def page(
    items: Sequence[Mapping[str, Any]], *, limit: int = 20, order: Order = "desc", after: str | None = None
) -> Any:
    """One page of a list of items, newest first unless asked otherwise."""
    if not 1 <= limit <= _PAGE:
        raise RequestError(f"'limit' must be from 1 to {_PAGE}.", param="limit")
    ordered = list(items) if order == "asc" else list(reversed(items))
    start = 0
    if after is not None:
        start = next((at for at, item in enumerate(ordered, 1) if item["id"] == after), 0)
        if not start:
            raise RequestError("'after' names no item of this list.", param="after")
    rows = ordered[start : start + limit]
    return {
        "object": "list",
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": start + limit < len(ordered),
    }


def _row(body: Mapping[str, Any], input: Items, previous: str | None) -> Row:
    head = {key: value for key, value in body.items() if key != "output"}
    return Row(body["id"], head, input, body["output"], previous)


def _cut(item: Mapping[str, Any]) -> bool:
    return item["type"] == "function_call" and item.get("status") != "completed"


def _found(found: T | None, id: str) -> T:
    if found is None:
        raise ResponseNotFound(id)
    return found


__all__ = [
    "Bounds",
    "Conversation",
    "Items",
    "NotKept",
    "PreviousNotFound",
    "ResponseNotFound",
    "ResponseStore",
    "StoreFailed",
    "page",
]
