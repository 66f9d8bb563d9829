"""What a row of the table is, and what doing it gives. Values only."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from osaurus_nb import money
from osaurus_nb.errors import RequestError
from osaurus_nb.events import AttemptStarted, Event, Started, Warned
from osaurus_nb.runtime import Backend
from osaurus_nb_server.dialect import Address, Dialect

_CAP = "max_cost"


class Answered(Protocol):
    """Vectors, decisions: whatever says who gave it."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def warnings(self) -> Sequence[Warned]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The body to answer with, the model that was asked for, and what the response's headers tell beside that."""

    body: Mapping[str, Any]
    asked: str
    notes: Sequence[Event] = ()

    @classmethod
    def of(cls, answered: Answered, body: Mapping[str, Any], *, asked: str) -> Outcome:
        """With the headers that an answer to a chat has: who gave it, and its warnings."""
        who = answered.provider, answered.model
        return cls(body, asked, (AttemptStarted(1, *who), Started(*who), *answered.warnings))


def without_cap(body: bytes) -> tuple[bytes, int | None]:
    """The body without `max_cost`, our own key, and what that says in micro. Raises RequestError for no amount."""
    if _CAP.encode() not in body:
        return body, None
    from osaurus_nb.wire._json import parse  # noqa: PLC0415 - it came with the dialect's codec, not with the server

    try:
        fields = parse(body)
    except RequestError:
        return body, None  # whoever reads it next says what is wrong
    if not isinstance(fields, dict) or _CAP not in fields:
        return body, None
    said = fields.pop(_CAP)
    return json.dumps(fields).encode(), None if said is None else money.parse(said, _CAP)


#: Does it: the backend, the body as it came and what else the request said.
Perform = Callable[[Backend, bytes, Address], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for, in one dialect. None: its errors are in that which the headers suggest."""

    dialect: Dialect | None
    perform: Perform
