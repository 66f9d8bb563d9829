"""What an engine works at, whatever its model is for."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event
from osaurus_nb.request import ChatRequest

Key = Hashable
Request = ChatRequest | EmbeddingRequest | DecisionRequest
#: Something for one request: events, an answer in one piece, or the error that it ends in.
Content = tuple[Event, ...] | Embeddings | Decisions | OsaurusError
Parcel = tuple[Key, Content]


class Work(Protocol):
    """The requests that one model has taken in. Lives on the engine's thread, and moves when `step` is called."""

    @property
    def running(self) -> int:
        """How much is under way, in places."""

    @property
    def answered(self) -> int: ...

    @property
    def cache_bytes(self) -> int: ...

    def room_for(self, request: Request, /) -> bool:
        """Is a place free for it now?"""

    def admit(self, key: Key, request: Request, /) -> tuple[Event, ...]:
        """Take it in; its first events, if it is told in events. Raises OsaurusError for what cannot be served."""

    def cancel(self, key: Key, /) -> bool:
        """Forget it before the next step. False for one that is not here."""

    def step(self) -> list[Parcel]:
        """Move on. Called while something runs, and so seldom at length that others may get their turn."""

    def close(self) -> None: ...
