"""What a row of the table is, and what doing it gives. Values only."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from osaurus_nb.errors import RequestError
from osaurus_nb.events import AttemptStarted, CostReported, Event, Started, Warned
from osaurus_nb.runtime import Backend
from osaurus_nb.spending import Cost
from osaurus_nb.wire import _routing
from osaurus_nb_server.dialect import Address, Dialect

_OURS = ("max_cost", "local_only", "private")


class Answered(Protocol):
    """Vectors, decisions: whatever says who gave it."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def warnings(self) -> Sequence[Warned]: ...

    @property
    def cost(self) -> Cost | None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The body to answer with, the model that was asked for, and what the response's headers tell beside that."""

    body: Mapping[str, Any]
    asked: str
    notes: Sequence[Event] = ()

    @classmethod
    def of(cls, answered: Answered, body: Mapping[str, Any], *, asked: str) -> Outcome:
        """With the headers that an answer to a chat has: who gave it, what it cost, and its warnings."""
        who = answered.provider, answered.model
        cost = (CostReported(answered.cost),) if answered.cost is not None else ()
        return cls(body, asked, (AttemptStarted(1, *who), Started(*who), *cost, *answered.warnings))


class Limits(TypedDict):
    """What a question without a route of its own says all the same: what it may cost, in micro, and where it stays."""

    most: int | None
    local_only: bool


def without_ours(body: bytes, address: Address) -> tuple[bytes, Limits]:
    """The body without our own keys `max_cost`, `local_only` and `private`, and what they say, beside the headers.

    Raises RequestError that names the key.
    """
    if not any(key.encode() in body for key in _OURS):
        return body, Limits(most=address.most(None), local_only=False)
    from osaurus_nb.wire._json import parse  # noqa: PLC0415 - it came with the dialect's codec, not with the server

    try:
        fields = parse(body)
    except RequestError:
        fields = None  # whoever reads it next says what is wrong
    if not isinstance(fields, dict):
        return body, Limits(most=address.most(None), local_only=False)
    said = _routing.read({key: fields.pop(key) for key in _OURS if key in fields})
    limits = Limits(most=address.most(said.max_cost_micro), local_only=said.mode == "local-strict")
    return json.dumps(fields).encode(), limits


#: Does it: the backend, the body as it came and what else the request said.
Perform = Callable[[Backend, bytes, Address], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for, in one dialect. None: its errors are in that which the headers suggest."""

    dialect: Dialect | None
    perform: Perform
