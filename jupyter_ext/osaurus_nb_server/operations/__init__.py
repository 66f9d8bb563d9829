"""What is asked beside answers: one JSON object in, one out. A new one is a row in a table of this room.

A row is a path below `/osaurus`, the dialect of its errors, and the code that does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from osaurus_nb.runtime import Backend
from osaurus_nb_server.dialects import Address, Dialect

#: Does it: the backend, the body as it came and what else the request said; gives the body to answer with.
Perform = Callable[[Backend, bytes, Address], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for, in one dialect."""

    dialect: Dialect
    perform: Perform


#: Paths below `/osaurus`, each with what it does.
OPERATIONS: Mapping[str, Operation] = {}
