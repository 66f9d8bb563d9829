"""A server whose models cost something, with a real ledger in memory. For the tests of spending over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.catalog.prices import listed
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.models import ModelCard, Price
from osaurus_nb.runtime import Runtime
from osaurus_nb.secrets import secrets_of
from osaurus_nb.spending import Tariff
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from tests.server.admin import fresh_secrets
from tests.server.conftest import Served, serving

#: US dollars for a million tokens.
PRICE = Price(Decimal(100), Decimal(200))
#: Of one answer: three tokens in, two out.
COST_MICRO = 3 * 100 + 2 * 200


class Paid(ScriptedAdapter):
    """Its models cost something, far away."""

    def tariff(self, card: ModelCard, /) -> Tariff | None:
        return listed(PRICE)


def paid() -> Paid:
    return Paid({"good": [says("Hello", " there")]}, embeds=["embed"])


@contextmanager
def billed(
    home: Path, adapters: Sequence[ScriptedAdapter], *, vault: str | None = None, **settings: Any
) -> Iterator[Served]:
    """A server over these with a home of its own. The ledger is in memory, unless a vault has its key."""
    paths = Paths(home / "osaurus")

    def backend() -> Runtime:
        slots = secrets_of(paths).slots if vault is not None else None
        return Runtime(adapters, ledger=LedgerMeter(LedgerStore(paths, slots), BillingFile(paths)))

    with pytest.MonkeyPatch.context() as patch, fresh_secrets():
        patch.setenv("OSAURUS_HOME", str(paths.home))
        if vault is not None:
            patch.setenv("OSAURUS_VAULT_KEY", vault)
        with serving(backend, home, **settings) as served:
            yield served


def lines(server: Served) -> list[dict[str, Any]]:
    """The ledger as its administrator sees it, once all is written."""
    ends = time.monotonic() + 5
    while True:
        rows: list[dict[str, Any]] = server.ask("GET", "/admin/ledger").json["data"]
        if all(row["kind"] != "open" for row in rows) or time.monotonic() > ends:
            return rows
        time.sleep(0.01)
