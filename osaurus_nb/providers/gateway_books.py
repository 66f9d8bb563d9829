"""The books of a gateway of ours, read over HTTP by whoever may administer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from osaurus_nb.errors import LedgerUnreadable, ProviderError
from osaurus_nb.spending import NOWHERE, BudgetState, By, Entry, LedgerStatus, Origin, Query, Total
from osaurus_nb.wire import ledger

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
            asked = ledger.encode_query(query) | {"limit": str(size)}
            if found:
                asked["before"] = str(found[-1].seq)
            page = ledger.rows(await self._get("", asked), ledger.decode_entry)
            found += page
            if len(page) < size:
                break
        return found

    async def totals(self, by: By, query: Query = Query()) -> Sequence[Total]:  # noqa: B008 - a frozen value
        payload = await self._get("/totals", {"by": by, **ledger.encode_query(query)})
        return ledger.rows(payload, ledger.decode_total)

    async def budgets(self, origin: Origin = NOWHERE) -> Sequence[BudgetState]:
        return ledger.rows(await self._get("/budgets", ledger.encode_origin(origin)), ledger.decode_budget)

    async def void(self, step: str) -> int:
        said = await self._told(f"/steps/{quote(step, safe='')}/void", {})
        return int(said.get("voided") or 0)

    async def status(self) -> LedgerStatus:
        return ledger.decode_status(await self._get("/status", {}))

    async def _get(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        return await self._told(f"{path}?{urlencode(parameters)}" if parameters else path, None)

    async def _told(self, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        try:
            return await self._ask(f"/admin/ledger{path}", body)
        except ProviderError as error:
            raise LedgerUnreadable(f"The osaurus server cannot be asked what was spent. {error.message}") from error
