"""The Router's own list of calls, fetched as far back as it takes, against what the ledger has no end for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from osaurus_nb.ledger.paging import Paged, every
from osaurus_nb.ledger.reconcile import NEAR, Listed, Reconciled, likely, reconcile
from osaurus_nb.models import ROUTER
from osaurus_nb.spending import Entry, Query

if TYPE_CHECKING:
    from osaurus_nb.providers.router_account import RouterAccount
    from osaurus_nb.wire.osaurus_router import UsageRow

_PAGE, _MOST_PAGES = 100, 100
_DAYS = 7


async def reconciled(books: Paged, account: RouterAccount, now: float, *, accept: bool = False) -> Reconciled:
    """What is to be written, and what is to be told; writes nothing. `accept` takes for sure what is only likely."""
    return await matched(await every(books, Query(provider=ROUTER)), account, now, accept=accept)


async def matched(lines: Sequence[Entry], account: RouterAccount, now: float, *, accept: bool = False) -> Reconciled:
    """The same for the lines of the Router that were looked up before."""
    until = min([now - _DAYS * 86_400.0, *(line.at - NEAR for line in lines if line.orphan)])
    done = reconcile(lines, await _listed(account, until), now)
    return _accepted(done) if accept else done


def _accepted(done: Reconciled) -> Reconciled:
    taken = likely(done)
    gone = {(line.step, line.attempt) for line in taken}
    return replace(
        done,
        settled=(*done.settled, *taken),
        waiting=tuple(line for line in done.waiting if (line.step, line.attempt) not in gone),
        loose=tuple(loose for loose in done.loose if not gone & {(line.step, line.attempt) for line in loose.perhaps}),
    )


async def _listed(account: RouterAccount, until: float) -> list[Listed]:
    """The Router's calls, newest first, back to `until` or as far as one asks."""
    found: list[Listed] = []
    cursor = None
    for _ in range(_MOST_PAGES):
        page = await account.usage(limit=_PAGE, cursor=cursor)
        found.extend(map(_plain, page.rows))
        cursor = page.next_cursor
        last = found[-1].at if found else None
        if cursor is None or (last is not None and last < until):
            break
    return found


def _plain(row: UsageRow) -> Listed:
    at = _seconds(row.created_at)
    tokens = row.input_tokens, row.output_tokens
    return Listed(row.id, row.model, *tokens, row.cost_micro, at, row.request_id, row.status)


def _seconds(text: str) -> float | None:
    """A time without its zone is none: an hour's error would strike what was charged."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
