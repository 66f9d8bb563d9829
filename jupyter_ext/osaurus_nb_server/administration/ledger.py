"""The desk of the ledger: what was spent, by whom, and how much may be. Holds no question and no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from osaurus_nb import money
from osaurus_nb.config.billing import BillingFile, BillingSettings
from osaurus_nb.errors import RequestError
from osaurus_nb.ports import Books
from osaurus_nb.runtime import Backend
from osaurus_nb.spending import BudgetState, By, Origin
from osaurus_nb.wire import ledger
from osaurus_nb_server.administration.bodies import Limit, read
from osaurus_nb_server.administration.faults import NoSuchBudget, told
from osaurus_nb_server.administration.rows import listed

#: Parameters of an address, by name.
Said = Mapping[str, str]
#: What is capped alike for all, and what is by name, as the settings call it.
_FOR_ALL = ("request", "cell", "notebook", "day")
_OWN_SUMS: Sequence[By] = ("model", "day")
_BY_NAME = {"key": "keys", "provider": "providers"}


class LedgerDesk:
    """The ledger of the server's own backend. Amounts are millionths of a US dollar, those that are sent dollars."""

    def __init__(self, backend: Callable[[], Awaitable[Backend]], billing: BillingFile) -> None:
        self._backend = backend
        self._billing = billing

    async def entries(self, said: Said) -> Mapping[str, Any]:
        """One page, newest first; the next one is `before` the last line of this."""
        query = ledger.decode_query(said)
        found = await (await self._books()).entries(replace(query, limit=query.limit + 1))
        page = found[: query.limit]
        before = page[-1].seq if len(found) > len(page) else None
        return listed([ledger.encode_entry(entry) for entry in page], has_more=before is not None, before=before)

    async def totals(self, said: Said) -> Mapping[str, Any]:
        rest = dict(said)
        by = ledger.decode_by(rest.pop("by", None))
        found = await (await self._books()).totals(by, ledger.decode_query(rest))
        return listed([ledger.encode_total(total) for total in found], by=by)

    async def budgets(self, said: Said) -> Mapping[str, Any]:
        """The caps that hold for questions from there, and what the settings say for all."""
        states = await (await self._books()).budgets(ledger.decode_origin(said))
        limits = _limits(await asyncio.to_thread(self._billing.read))
        return listed([ledger.encode_budget(state) for state in states], limits_micro=limits)

    async def cap(self, kind: str, id: str | None, body: bytes) -> Mapping[str, Any]:
        """From now on no more than this, in every process of this home."""
        _check(kind, id)
        limit = money.parse(read(Limit, body).limit, "limit")
        return await self._edited(kind, id, limit)

    async def uncap(self, kind: str, id: str | None) -> Mapping[str, Any]:
        _check(kind, id)
        return await self._edited(kind, id, None)

    async def void(self, step: str) -> Mapping[str, Any]:
        """Strike the open lines of a step that never was charged."""
        return {"object": "ledger.void", "step": step, "voided": await (await self._books()).void(step)}

    async def status(self) -> Mapping[str, Any]:
        return ledger.encode_status(await (await self._books()).status())

    async def usage(self, key: str, said: Said) -> Mapping[str, Any]:
        """What this key spent, and nobody else: sums, and the caps that are its own."""
        for name in said:
            if name not in ("since", "until"):
                raise RequestError(f"There is no parameter '{name}' here. There are: since, until.", param=name)
        query, books = replace(ledger.decode_query(said), key=key), await self._books()
        sums = {f"by_{by}": [ledger.encode_total(total) for total in await books.totals(by, query)] for by in _OWN_SUMS}
        states = await books.budgets(Origin(key=key))
        own = [ledger.encode_budget(state) for state in states if _is_of(key, state)]
        return {"object": "usage", "key_id": key, **sums, "budgets": own}

    async def _books(self) -> Books:
        return (await self._backend()).books

    async def _edited(self, kind: str, id: str | None, limit: int | None) -> Mapping[str, Any]:
        def change(settings: BillingSettings) -> BillingSettings:
            changed: dict[str, Any] = {kind: limit}
            if id is not None:
                kept = {name: value for name, value in getattr(settings, _BY_NAME[kind]).items() if name != id}
                changed = {_BY_NAME[kind]: kept if limit is None else {**kept, id: limit}}
            return replace(settings, **changed)

        with told("limit"):
            settings = await asyncio.to_thread(self._billing.edit, change)
        return {"object": "ledger.limits", "limits_micro": _limits(settings)}


def _check(kind: str, id: str | None) -> None:
    """Raises NoSuchBudget for what cannot be capped by the settings."""
    if (kind in _FOR_ALL and id is None) or (kind in _BY_NAME and id):
        return
    if kind in _BY_NAME:
        raise NoSuchBudget(f"Say which {kind}: …/budgets/{kind}/ID.", param=kind)
    raise NoSuchBudget(f"There is no such budget. There are: {', '.join(_FOR_ALL)}, key/ID and provider/SLUG.")


def _is_of(key: str, state: BudgetState) -> bool:
    return state.cap.scope.partition("@")[0] == f"key:{key}"


def _limits(settings: BillingSettings) -> Mapping[str, Any]:
    by_name = {name: dict(getattr(settings, name)) for name in _BY_NAME.values()}
    return {name: cast(int | None, getattr(settings, name)) for name in _FOR_ALL} | by_name
