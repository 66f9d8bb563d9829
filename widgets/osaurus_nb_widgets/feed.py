"""Sends what a stream adds to a view, in few messages. Belongs to the loop that it is used on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from osaurus_nb.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    ReasoningDelta,
    Substituted,
    TextDelta,
    ToolCallStarted,
)

#: A kernel's output channel drops messages past 1,000 a second, for all that it shows; a view takes 25 of them.
EVERY = 1 / 25


class Feed:
    """Collects deltas: the first is sent at once, later ones together every `EVERY` seconds."""

    def __init__(self, send: Callable[[dict[str, Any]], object]) -> None:
        self._send = send
        self._pending: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, event: Event) -> None:
        match event:
            case TextDelta(text=text, choice=0) if text:
                self._append("text", text)
            case ReasoningDelta(text=text) if text:
                self._append("reasoning", text)
            case AttemptStarted() | ToolCallStarted() | AttemptFailed() | Substituted():
                self._send({"kind": "delta", "status": _status(event)})  # rare, and the first word must not wait for it
                return
            case _:
                return
        if self._timer is None:
            self.flush()
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._tick)

    def flush(self) -> None:
        """Send what waits."""
        if self._pending:
            pending, self._pending = self._pending, {}
            self._send({"kind": "delta", **pending})

    def drop(self) -> None:
        """Forget what waits: the whole text is sent in its place."""
        self._pending.clear()

    def close(self) -> None:
        """Send nothing more."""
        self.drop()
        if self._timer is not None:
            self._timer.cancel()

    def _append(self, field: str, text: str) -> None:
        self._pending[field] = self._pending.get(field, "") + text

    def _tick(self) -> None:
        self._timer = None
        if self._pending:
            self.flush()
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._tick)


def _status(event: AttemptStarted | ToolCallStarted | AttemptFailed | Substituted) -> str:
    """What is going on while no word comes."""
    match event:
        case AttemptStarted(provider=provider, model=model):
            return f"Waiting for {model}" if provider == "local" else f"Waiting for {provider}: {model}"
        case ToolCallStarted(name=name):
            return f"Calling {name}"
        case AttemptFailed(provider=provider, model=model):
            return f"{provider}: {model} failed, trying the next"
        case Substituted(answering=answering):
            return f"Asking {answering} instead"
