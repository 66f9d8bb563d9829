"""Who is believed about what a model costs: the user, its provider's list, the table; and at home it is free."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from osaurus_nb.catalog.prices import GRATIS
from osaurus_nb.config.billing import BillingFile, BillingSettings
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import Provider
from osaurus_nb.config.providers.formats import UNLISTED
from osaurus_nb.models import ModelCard, Price, Usage
from osaurus_nb.ports import Priced, SystemClock
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.remote import RemoteAdapter
from osaurus_nb.providers.router import RouterAdapter, RouterSettings, router_source
from osaurus_nb.spending import Cost
from osaurus_nb.testing.router import LoopbackRouter
from tests.providers.listing import listing, serving
from tests.providers.test_router import SIGNER

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOME = Usage(1000, 100)


def nobody(name: str) -> Price | None:
    """A user who said nothing of prices."""
    return None


@asynccontextmanager
async def speaking(
    url: str, *models: str, own: Callable[[str], Price | None] = nobody
) -> AsyncGenerator[RemoteAdapter, None]:
    """What asks a provider there; with `models` it lists these without being asked."""
    kind = next(iter(UNLISTED)) if models else "openai"
    async with HttpDoor() as door:
        settings = Provider("id", "Lab", "lab", url, "openai", type=kind, models=models)
        yield RemoteAdapter(settings, door, keys=tuple, own_price=own)


def cost(adapter: Priced, card: ModelCard, usage: Usage = SOME) -> Cost | None:
    """What some tokens cost there."""
    tariff = adapter.tariff(card)
    return None if tariff is None else tariff.cost(usage, NOON)


async def test_a_vendors_model_costs_what_the_table_says_with_tiers() -> None:
    """The price on its card is the table's, for a short prompt; a long one costs by the tier: 300000 x 4."""
    async with speaking("https://api.openai.com/v1", "gpt-6-sol") as adapter:
        (card,) = await adapter.models()

        assert card.price == Price(Decimal(2), Decimal(10))
        found = cost(adapter, card, Usage(300_000))

    assert found is not None
    assert (found.micro, found.source) == (1_200_000, "table")


async def test_a_price_in_the_list_wins_over_the_table() -> None:
    """1000 x 2 + 100 x 4 are 2400, with the source that says so; a model without one costs nothing here at home."""
    async with serving() as server, speaking(f"{server.url}/v1") as adapter:
        rows = listing("gpt-5", "plain")
        rows["data"][0]["pricing"] = {"prompt": "0.000002", "completion": "0.000004"}
        server.answers["/v1/models"] = (200, rows)
        paid, plain = await adapter.models()

        assert (paid.price, plain.price) == (Price(Decimal(2), Decimal(4)), None)
        assert cost(adapter, paid) == Cost(2400, "list")
        assert adapter.tariff(plain) is GRATIS


async def test_a_price_that_left_the_list_is_forgotten() -> None:
    """The list is believed as it is now."""
    async with serving() as server, speaking(f"{server.url}/v1") as adapter:
        rows = listing("m")
        rows["data"][0]["pricing"] = {"prompt": "0.000002", "completion": "0.000004"}
        server.answers["/v1/models"] = (200, rows)
        await adapter.models()
        server.answers["/v1/models"] = (200, listing("m"))
        (card,) = await adapter.models()

        assert adapter.tariff(card) is GRATIS


async def test_the_users_price_wins_over_all_and_is_on_the_card(tmp_path: Path) -> None:
    """Also over the table, and at home; a change in the file is seen by the next question."""
    file = BillingFile(Paths(tmp_path))
    file.edit(lambda settings: BillingSettings(prices={"lab/gpt-5": Price(Decimal(3), Decimal(5))}))

    def own(name: str) -> Price | None:
        return file.read().prices.get(name)

    for url in ("https://api.openai.com/v1", "http://127.0.0.1:9/v1"):
        async with speaking(url, "gpt-5", own=own) as adapter:
            (card,) = await adapter.models()

            assert card.price == Price(Decimal(3), Decimal(5))
            assert cost(adapter, card) == Cost(3500, "user")  # 1000 x 3 + 100 x 5

    async with speaking("https://api.openai.com/v1", "gpt-5", own=own) as adapter:
        file.edit(lambda settings: BillingSettings())
        found = cost(adapter, card)

    assert found is not None
    assert (found.micro, found.source) == (2250, "table")  # 1000 x 1.25 + 100 x 10


@pytest.mark.parametrize("url", ["http://localhost:1234/v1", "http://192.168.1.5/v1", "http://mac.local:8080/v1"])
async def test_at_home_a_model_without_a_price_is_free(url: str) -> None:
    """This machine and its networks charge nobody."""
    async with speaking(url, "m") as adapter:
        assert cost(adapter, ModelCard("m", "lab")) == Cost(0, "free")


@pytest.mark.parametrize("url", ["https://example.org/v1", "https://api.openai.com.example.org/v1"])
async def test_elsewhere_it_is_not_known(url: str) -> None:
    """No cost is made up, and none is taken for nothing."""
    async with speaking(url, "gpt-5") as adapter:
        assert adapter.tariff(ModelCard("gpt-5", "lab")) is None


async def test_the_routers_list_tells_its_prices() -> None:
    """1000 x 1 + 100 x 3; a model without a price has no tariff."""
    async with LoopbackRouter() as router, HttpDoor() as door:
        adapter = router_source(RouterSettings(router.url), lambda: SIGNER, door, clock=SystemClock()).current()
        assert isinstance(adapter, RouterAdapter)
        card = (await adapter.models())[0]

        assert cost(adapter, card) == Cost(1300, "list")
        assert adapter.tariff(ModelCard("m", "osaurus")) is None
