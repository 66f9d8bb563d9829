"""A chat that remembers: each turn is sent with all before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Unpack

from osaurus_nb import options as opt
from osaurus_nb._portal import Portal
from osaurus_nb.errors import RequestError
from osaurus_nb.messages import Message
from osaurus_nb.options import ChatOptions, Prompt
from osaurus_nb.reply import Reply
from osaurus_nb.stream import AsyncStream, Stream


@dataclass(frozen=True, slots=True)
class _Question:
    """The one that was asked last, and how many messages stand before it."""

    before: int
    asked: Sequence[Message]
    options: ChatOptions


class AsyncConversation:
    """Turns with one model or several. A turn counts when its answer ended; a stopped one keeps its partial text.

    One whose answer has no visible word does not count: `retry` asks its question again.
    """

    def __init__(self, ask: Callable[..., AsyncStream], defaults: ChatOptions) -> None:
        self._ask = ask
        self._defaults = defaults
        self._settled: list[Message] = []
        self._last: _Question | None = None
        self._pending: AsyncStream | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """All turns so far, without the system prompt."""
        self._settle()
        return tuple(self._settled)

    async def chat(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Reply:
        return await _whole(self.stream(prompt, **options))

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> AsyncStream:
        self._settle()
        return self._begin(_Question(len(self._settled), opt.messages(prompt), options))

    async def retry(self, **options: Unpack[ChatOptions]) -> Reply:
        """Ask the last question again, as a new step. `options` go before those that it was asked with.

        The new answer takes the place of the old one, as soon as there is a word of it.
        """
        return await _whole(self.stream_retry(**options))

    def stream_retry(self, **options: Unpack[ChatOptions]) -> AsyncStream:
        """As `retry`, and the answer as it comes."""
        self._settle()
        if self._last is None:
            raise RequestError("There is no question to ask again.")
        last = self._last
        return self._begin(_Question(last.before, last.asked, {**last.options, **options}))

    def undo(self) -> None:
        """Forget the last question and its answer."""
        self._settle()
        last, self._last = self._last, None
        if last is not None and len(self._settled) == last.before:  # it got none
            return
        while self._settled and self._settled.pop().role != "user":
            pass

    def _begin(self, question: _Question) -> AsyncStream:
        prompt = [*self._settled[: question.before], *question.asked]
        stream = self._ask(prompt, **{**self._defaults, **question.options})
        self._last, self._pending = question, stream
        return stream

    def _settle(self) -> None:
        """Take over the turn that was streamed last, if any of its answer came."""
        if self._last is None or self._pending is None:
            return
        reply, self._pending = self._pending.reply, None
        if not reply.empty and (answered := [message for message in reply.messages if message.parts]):
            self._settled[self._last.before :] = [*self._last.asked, *answered]


async def _whole(stream: AsyncStream) -> Reply:
    async with aclosing(stream.events()) as events:
        async for _ in events:
            pass
    return stream.reply


class Conversation:
    """`AsyncConversation` for sync code."""

    def __init__(self, conversation: AsyncConversation, portal: Portal) -> None:
        self._async = conversation
        self._portal = portal

    @property
    def messages(self) -> tuple[Message, ...]:
        """All turns so far, without the system prompt."""
        return self._async.messages

    def chat(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Reply:
        return self._portal.run(self._async.chat(prompt, **options))

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Stream:
        return Stream(self._async.stream(prompt, **options), self._portal)

    def retry(self, **options: Unpack[ChatOptions]) -> Reply:
        """Ask the last question again, as a new step. `options` go before those that it was asked with.

        The new answer takes the place of the old one, as soon as there is a word of it.
        """
        return self._portal.run(self._async.retry(**options))

    def stream_retry(self, **options: Unpack[ChatOptions]) -> Stream:
        """As `retry`, and the answer as it comes."""
        return Stream(self._async.stream_retry(**options), self._portal)

    def undo(self) -> None:
        """Forget the last question and its answer."""
        self._async.undo()
