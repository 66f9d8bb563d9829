"""The account behind an identity, asked over loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from osaurus_nb import errors, money
from osaurus_nb.client import AsyncClient
from osaurus_nb.identity.signer import Signer
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router import RouterSettings, router_source
from osaurus_nb.providers.router_account import RouterAccount
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.router import Fault, LoopbackRouter
from osaurus_nb.wire.osaurus_router import Balance, Estimate

pytestmark = pytest.mark.anyio
SIGNER = Signer(bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"))


@dataclass
class Clock:
    passed: float = 0.0
    began: float = field(default_factory=time.time)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.began + self.passed, UTC)

    def monotonic(self) -> float:
        return self.passed


@dataclass
class Desk:
    router: LoopbackRouter
    account: RouterAccount
    clock: Clock
    client: AsyncClient

    def asked(self, path: str) -> int:
        return sum(request.path.startswith(path) for request in self.router.requests)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = Clock()
    async with LoopbackRouter() as router, HttpDoor() as door:
        source = router_source(RouterSettings(router.url), lambda: SIGNER, door, clock=clock)
        adapter = source.current()
        assert adapter is not None
        async with AsyncClient(model="osaurus/venice/model-b", backend=Runtime([adapter])) as client:
            yield Desk(router, source.account(), clock, client)


async def test_a_balance_is_believed_for_half_a_minute(desk: Desk) -> None:
    """Then it is asked again, and at once when somebody wants it fresh. Ten who ask together ask once."""
    first = await asyncio.gather(*(desk.account.balance() for _ in range(10)))
    desk.router.account(SIGNER.address).balance_micro = 7
    cached = await desk.account.balance()
    desk.clock.passed = 31
    later = await desk.account.balance()
    fresh = await desk.account.balance(refresh=True)

    assert set(first) == {cached} == {Balance(10_000_000)}
    assert later == fresh == Balance(7)
    assert desk.asked("/credits/balance") == 3
    assert money.balance(cached.micro) == "$10.00"


async def test_a_balance_that_cannot_be_had_is_the_last_one_and_marked(desk: Desk) -> None:
    """Stale is said, and gone once it can be asked again; without a last one the fault is told."""
    desk.router.faults["GET /credits/balance"] = Fault(status=503)
    with pytest.raises(errors.Unavailable):
        await desk.account.balance()
    await desk.account.balance()
    desk.router.faults["GET /credits/balance"] = Fault(status=503)
    desk.clock.passed = 31

    assert await desk.account.balance() == Balance(10_000_000, stale=True)
    assert await desk.account.balance() == Balance(10_000_000)


async def test_a_refused_identity_sees_no_old_balance(desk: Desk) -> None:
    """Who is not let in is not shown what he saw before."""
    await desk.account.balance()
    desk.router.faults["GET /credits/balance"] = Fault("UNAUTHORIZED")

    with pytest.raises(errors.CredentialRejected):
        await desk.account.balance(refresh=True)


async def test_an_account_on_hold_is_seen(desk: Desk) -> None:
    """On the balance, and by whoever asks a model."""
    desk.router.account(SIGNER.address).frozen = True

    assert (await desk.account.balance()).frozen
    with pytest.raises(errors.AccountFrozen):
        await desk.client.chat("hi")


async def test_an_estimate_bounds_what_is_charged(desk: Desk) -> None:
    """The most that it may cost is no less than what it did."""
    estimate = await desk.account.estimate("venice/model-b", input_tokens=3, max_tokens=100)
    await desk.client.chat("three small words")
    [row] = (await desk.account.usage()).rows

    assert estimate == Estimate(303, 78)
    assert row.cost_micro == 21 <= (estimate.most_micro or 0)
    assert (row.model, row.provider, row.status, row.request_id) == ("venice/model-b", "venice", "completed", "req_1")


async def test_too_small_a_payment_is_told_before_anything_is_sent(desk: Desk) -> None:
    """The least is five dollars; from there on there is a link."""
    with pytest.raises(errors.BelowMinimumTopUp, match=r"Minimum top-up is \$5.00."):
        await desk.account.checkout(4_999_999)
    assert desk.asked("/credits/checkout") == 0

    checkout = await desk.account.checkout(5_000_000)

    assert checkout.url == "https://checkout.invalid/pay/5000000"
    assert checkout.client_secret not in repr(checkout)


async def test_lists_come_in_pages_newest_first(desk: Desk) -> None:
    """Every row once, although one is added meanwhile, and an end."""
    for _ in range(5):
        await desk.client.chat("hi")
    first = await desk.account.usage(limit=2)
    await desk.client.chat("hi")
    second = await desk.account.usage(limit=2, cursor=first.next_cursor)
    third = await desk.account.usage(limit=2, cursor=second.next_cursor)

    rows = [row.id for page in (first, second, third) for row in page.rows]
    assert rows == ["use_5", "use_4", "use_3", "use_2", "use_1"]
    assert third.next_cursor is None


async def test_transactions_add_up_to_the_balance(desk: Desk) -> None:
    """What went in and out, with what it was for."""
    desk.router.account(SIGNER.address).top_up(5_000_000, "2026-11-21T00:00:00Z")
    await desk.client.chat("hi")
    page = await desk.account.transactions()

    assert [(row.entry_type, row.ref_type) for row in page.rows] == [("debit", "request"), ("topup", "checkout")]
    assert sum(row.amount_micro or 0 for row in page.rows) + desk.router.credit == (await desk.account.balance()).micro


async def test_a_cursor_is_no_way_to_write_a_query(desk: Desk) -> None:
    """What the server gave is quoted, and signed as it is sent."""
    await desk.account.usage(cursor="a&limit=9 /ü")

    assert desk.router.requests[-1].path == "/credits/usage?limit=50&cursor=a%26limit%3D9+%2F%C3%BC"


async def test_the_health_needs_no_signature(desk: Desk) -> None:
    """So that a server that is down is told from a clock that is wrong."""
    assert await desk.account.healthy()
    assert "x-wallet-signature" not in desk.router.requests[-1].headers
    await desk.router.__aexit__()
    assert not await desk.account.healthy()
