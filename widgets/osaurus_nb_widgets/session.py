"""Runs one chat: takes what a view asks for, streams answers back. Lives on the portal's loop, knows no widget."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

from osaurus_nb.client import AsyncClient
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event, Substituted
from osaurus_nb.messages import Message
from osaurus_nb.options import ChatOptions
from osaurus_nb.stream import AsyncStream
from osaurus_nb_widgets import picker
from osaurus_nb_widgets.feed import Feed
from osaurus_nb_widgets.transcript import Answer, Exchange, Notice, Transcript, broken, finished

log = logging.getLogger("osaurus_nb")


class Screen(Protocol):
    """Where a chat is shown: it takes small messages, and the whole transcript when an answer has ended."""

    messages: list[dict[str, Any]]
    selected_model: str

    def send(self, content: dict[str, Any]) -> None: ...


class Session:
    """One chat. Every method runs on the portal's loop, so nothing here needs a lock."""

    def __init__(self, client: AsyncClient, screen: Screen, options: ChatOptions) -> None:
        self._client = client
        self._screen = screen
        self._options = options
        self._transcript = Transcript()
        self._writer: _Writer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard: deque[object] = deque(maxlen=256)

    async def handle(self, message: Mapping[str, Any]) -> None:
        """Do what a view asks for, and tell it that it was heard. A fault is shown, never lost."""
        if "id" in message and self._heard_before(message["id"]):
            return
        try:
            match message:
                case {"kind": "ask", "text": str(text)}:
                    self.ask(text)
                case {"kind": "select", "model": str(model)}:
                    self._screen.selected_model = model
                case {"kind": "retry"}:
                    self.retry()
                case {"kind": "stop"}:
                    self.stop()
                case {"kind": "clear"}:
                    self.clear()
                case {"kind": "models"}:
                    await self._list_models()
                case {"kind": "hello"}:
                    self._show()
        except Exception as exc:  # noqa: BLE001 - the edge of a callback: nobody above would see it
            self._screen.send({"kind": "problem", "text": describe(exc)})

    def _heard_before(self, id: object) -> bool:
        """A view sends a request again until it is heard, and the first copy may still arrive after the second."""
        self._screen.send({"kind": "heard", "id": id})
        known = id in self._heard
        self._heard.append(id)
        return known

    def ask(self, question: str) -> None:
        """Send the next question. While an answer is being written, that one is stopped first."""
        self.stop()
        if question.strip():
            self._write(self._transcript.ask(question.strip()))

    def retry(self) -> None:
        """Ask the last question again, with the model that is chosen now. This is a new step."""
        self.stop()
        exchange = self._transcript.retry()
        if exchange is not None:
            self._write(exchange)

    def stop(self) -> None:
        """End the answer that is being written, at once; what came of it stays."""
        if self._writer is not None:
            self._writer.stop()

    def clear(self) -> None:
        self.stop()
        self._transcript.clear()
        self._publish()

    def _write(self, exchange: Exchange) -> None:
        self._writer = _Writer(exchange, self)
        self._show()
        task = asyncio.get_running_loop().create_task(self._writer.run(self._open))
        self._writer.task = task
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    def _open(self) -> AsyncStream:
        prompt: Sequence[Message] = self._transcript.prompt()
        options: ChatOptions = {**self._options, "model": self._screen.selected_model or None}
        return self._client.stream(prompt, **options)

    def _show(self) -> None:
        """Bring all views to where the chat is: the messages that are not in the saved transcript yet."""
        if self._writer is None:
            self._screen.send({"kind": "idle"})
            return
        self._writer.feed.drop()
        keep, tail = self._transcript.tail()
        tail[-1] |= self._writer.so_far()
        self._screen.send({"kind": "turn", "keep": keep, "tail": tail})

    def done(self, writer: _Writer) -> None:
        if self._writer is writer:
            self._writer = None
        self._publish()

    def send(self, content: dict[str, Any]) -> None:
        self._screen.send(content)

    def _publish(self) -> None:
        self._screen.messages = self._transcript.public()
        self._screen.send({"kind": "idle"})

    async def _list_models(self) -> None:
        try:
            status = await self._client.status()  # looks afresh; the models then come from what it saw
            listed = picker.groups(await self._client.models(), status)
        except OsaurusError as error:
            self._screen.send({"kind": "models", "groups": [], "reason": str(error)})
        else:
            self._screen.send({"kind": "models", "groups": listed, "reason": ""})


class _Writer:
    """Writes one answer into its exchange. Ends once: by its end, a fault, or `stop`."""

    def __init__(self, exchange: Exchange, session: Session) -> None:
        self.feed = Feed(session.send)
        self.task: asyncio.Task[None] | None = None
        self._exchange = exchange
        self._session = session
        self._ended = False
        self._stream: AsyncStream | None = None
        self._notices: list[Notice] = []

    async def run(self, open_stream: Callable[[], AsyncStream]) -> None:
        fault = ""
        try:
            self._stream = open_stream()
            async with aclosing(self._stream.events()) as events:
                async for event in events:
                    self._take(event)
        except OsaurusError as error:
            fault = "" if self._stream is not None and self._stream.reply.error is error else str(error)
        except Exception as exc:  # noqa: BLE001 - the edge of a task: nobody above would see it
            log.error("a chat widget's answer failed with %s", type(exc).__name__)
            fault = describe(exc)
        finally:
            self._settle(fault)

    def stop(self) -> None:
        """Settle first, for the view must not wait until the model has let go."""
        self._settle()
        if self.task is not None:
            self.task.cancel()

    def so_far(self) -> dict[str, str]:
        if self._stream is None:
            return {}
        reply = self._stream.reply
        return {"text": reply.text, "reasoning": reply.reasoning}

    def _take(self, event: Event) -> None:
        if isinstance(event, Substituted):
            self._notices.append(
                Notice(f"{event.answering} answered instead of {event.asked}: {event.reason}", "warning")
            )
        if not self._ended:
            self.feed.add(event)

    def _settle(self, fault: str = "") -> None:
        if self._ended:
            return
        self._ended = True
        self.feed.close()
        exchange = self._exchange
        id = exchange.answer.id
        answer = finished(id, self._stream.reply, self._notices) if self._stream is not None else Answer(id)
        exchange.answer = broken(answer, fault) if fault else answer
        exchange.writing = False
        self._session.done(self)


def describe(exc: BaseException) -> str:
    """A fault of ours in one sentence: what and where, never its text, which may hold a prompt or a key."""
    if isinstance(exc, OsaurusError):
        return str(exc)
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"Something went wrong in osaurus-nb ({type(exc).__name__}{where}). Please report it."
