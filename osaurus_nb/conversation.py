"""A chat that remembers: each turn is sent with all before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Unpack

from osaurus_nb import options as opt
from osaurus_nb._portal import Portal
from osaurus_nb.messages import Message
from osaurus_nb.options import ChatOptions, Prompt
from osaurus_nb.reply import Reply
from osaurus_nb.stream import AsyncStream, Stream


class AsyncConversation:
    """Turns with one model or several. A turn counts when its answer ended; a stopped one keeps its partial text."""

    def __init__(self, ask: Callable[..., AsyncStream], defaults: ChatOptions) -> None:
        self._ask = ask
        self._defaults = defaults
        self._settled: list[Message] = []
        self._pending: tuple[Sequence[Message], AsyncStream] | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """All turns so far, without the system prompt."""
        self._settle()
        return tuple(self._settled)

    async def chat(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Reply:
        stream = self.stream(prompt, **options)
        async with aclosing(stream.events()) as events:
            async for _ in events:
                pass
        return stream.reply

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> AsyncStream:
        self._settle()
        asked = opt.messages(prompt)
        stream = self._ask([*self._settled, *asked], **{**self._defaults, **options})
        self._pending = (asked, stream)
        return stream

    def undo(self) -> None:
        """Forget the last question and its answer."""
        self._settle()
        while self._settled and self._settled.pop().role != "user":
            pass

    def _settle(self) -> None:
        """Take over the turn that was streamed last, if any of its answer came."""
        if self._pending is None:
            return
        (asked, stream), self._pending = self._pending, None
        answered = [message for message in stream.reply.messages if message.parts]
        if answered:
            self._settled += [*asked, *answered]


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

    def undo(self) -> None:
        """Forget the last question and its answer."""
        self._async.undo()
