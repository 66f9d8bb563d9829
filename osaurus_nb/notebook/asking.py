"""One question: streams the answer into a view. An interrupt keeps what came; a failure ends the cell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing

from osaurus_nb._portal import portal
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event, ReasoningDelta, Substituted, TextDelta
from osaurus_nb.notebook.display import PERIOD, View
from osaurus_nb.reply import Reply
from osaurus_nb.stream import AsyncStream

#: Seconds that an interrupted model may take to let go before the cell goes on without it.
_LET_GO = 1.0
#: What to do about an answer without a word.
_AGAIN = "`%osaurus retry` asks again, as a new step; it takes options, such as `--max-tokens 2000`."


def ask(make: Callable[[], AsyncStream], view: View, *, model: str) -> Reply:
    """The reply, shown while it came. Interrupted, it is what there was, with `stopped` set."""
    notices: list[str] = []
    view.wait(f"asking {model} …")
    try:
        stream = make()
    except OsaurusError:
        view.fail(None, notices)
        raise
    pace = Pace(stream.events)
    try:
        with closing(portal().iterate(pace.events)) as events:
            for event in events:
                _show(event, view, notices)
    except KeyboardInterrupt:
        pace.closed.wait(_LET_GO)
    except OsaurusError as error:
        view.fail(error.reply, notices)
        raise
    reply = stream.reply
    view.end(reply, [*notices, *reply.failures, *reply.notices, *([_AGAIN] if reply.empty else [])])
    return reply


def _show(event: Event | None, view: View, notices: list[str]) -> None:
    match event:
        case None:
            view.tick()
        case TextDelta(text=text):
            view.add(text)
        case ReasoningDelta():
            view.wait("thinking …")
        case Substituted(asked=asked, answering=answering, reason=reason):
            notices.append(f"'{answering}' answers instead of '{asked}': {reason}.")
        case _:  # the reply carries the rest
            pass


class Pace:
    """A stream with a None in each silence, so that its reader can show what it held back."""

    def __init__(self, make: Callable[[], AsyncGenerator[Event, None]], period: float = PERIOD) -> None:
        self._make = make
        self._period = period
        #: Set when the stream is closed, upstream too.
        self.closed = threading.Event()

    async def events(self) -> AsyncGenerator[Event | None, None]:
        """Every event of the stream; its failure is raised at its place."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(256)
        pump = asyncio.create_task(self._pump(queue))
        try:
            while not (pump.done() and queue.empty()):
                try:
                    async with asyncio.timeout(self._period):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                else:
                    if event is None:
                        break
                    yield event
            await pump
        finally:
            pump.cancel()
            await asyncio.wait({pump})
            self.closed.set()

    async def _pump(self, queue: asyncio.Queue[Event | None]) -> None:
        """In one task, as timeouts inside the stream require."""
        async with aclosing(self._make()) as events:
            try:
                async for event in events:
                    await queue.put(event)
            finally:
                if not queue.full():  # a full queue has a reader who needs no waking
                    queue.put_nowait(None)
