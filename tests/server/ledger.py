"""A server whose models cost something, with a real ledger in memory. For the tests of spending over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from osaurus_nb.catalog.prices import listed
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.models import ModelCard, Price
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import Tariff
from osaurus_nb.testing.scripted import ScriptedAdapter, says
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
def billed(home: Path, adapters: Sequence[ScriptedAdapter], **settings: Any) -> Iterator[Served]:
    """A server over these; its ledger is in memory, its budgets in `home`."""
    paths = Paths(home / "osaurus")

    def backend() -> Runtime:
        return Runtime(adapters, ledger=LedgerMeter(LedgerStore(paths, None), BillingFile(paths)))

    with serving(backend, home, **settings) as served:
        yield served
