"""The books of a gateway of ours, read over HTTP by whoever may administer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from osaurus_nb.errors import LedgerUnreadable, ProviderError
from osaurus_nb.spending import NOWHERE, BudgetState, By, Entry, LedgerStatus, Origin, Query, Total
from osaurus_nb.wire import ledger

T = TypeVar("T")

#: Asks the server: a path below `/osaurus`, and a body where something is to be changed.
Ask = Callable[[str, Mapping[str, Any] | None], Awaitable[Mapping[str, Any]]]


class GatewayBooks:
    """What was spent there. Raises LedgerUnreadable where the server cannot be asked, Forbidden where it says no."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def entries(self, query: Query = Query()) -> Sequence[Entry]:  # noqa: B008 - a frozen value
        """One page, newest first; as long as was asked, in as many requests as that takes."""
        found: list[Entry] = []
        while len(found) < query.limit:
            size = min(query.limit - len(found), ledger.LONGEST_PAGE)
            before = found[-1].seq if found else query.before
            asked = ledger.encode_query(replace(query, limit=size, before=before))
            page = await self._rows("", asked, ledger.decode_entry)
            found += page
            if len(page) < size:
                break
        return found

    async def totals(self, by: By, query: Query = Query()) -> Sequence[Total]:  # noqa: B008 - a frozen value
        return await self._rows("/totals", {"by": by, **ledger.encode_query(query)}, ledger.decode_total)

    async def budgets(self, origin: Origin = NOWHERE) -> Sequence[BudgetState]:
        return await self._rows("/budgets", ledger.encode_origin(origin), ledger.decode_budget)

    async def void(self, step: str) -> int:
        return await self._told(f"/steps/{quote(step, safe='')}/void", _voided, {})

    async def status(self) -> LedgerStatus:
        return await self._told("/status", ledger.decode_status)

    async def _rows(
        self, path: str, parameters: Mapping[str, str], decode: Callable[[Mapping[str, Any]], T]
    ) -> Sequence[T]:
        path = f"{path}?{urlencode(parameters)}" if parameters else path
        return await self._told(path, lambda payload: ledger.rows(payload, decode))

    async def _told(
        self, path: str, read: Callable[[Mapping[str, Any]], T], body: Mapping[str, Any] | None = None
    ) -> T:
        try:
            return read(await self._ask(f"/admin/ledger{path}", body))
        except ProviderError as error:
            raise LedgerUnreadable(f"The osaurus server cannot be asked what was spent. {error.message}") from error


def _voided(said: Mapping[str, Any]) -> int:
    return int(said.get("voided") or 0)
