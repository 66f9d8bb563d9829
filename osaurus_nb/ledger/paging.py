"""All lines that a query finds, page by page, of whoever keeps the books. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from osaurus_nb.spending import Entry, Query

_PAGE = 1000
_ALL = Query()


class Paged(Protocol):
    """Lists one page."""

    async def entries(self, query: Query = ..., /) -> Sequence[Entry]: ...


async def every(books: Paged, query: Query = _ALL) -> list[Entry]:
    """Each ended line and each open one without an end, newest first."""
    found: list[Entry] = []
    while True:
        page = await books.entries(replace(query, before=found[-1].seq if found else query.before, limit=_PAGE))
        found.extend(page)
        if len(page) < _PAGE:
            return found
