"""When the Router is there, how its connection stands, and who may spend its credit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from osaurus_nb import errors
from osaurus_nb.identity.signer import Signer
from osaurus_nb.models import SourceStatus
from osaurus_nb.providers.connections import Connections
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router import RouterAdapter, RouterSettings, router_source
from osaurus_nb.providers.router_gate import SPEND, refuse_spending
from osaurus_nb.testing.router import Fault, LoopbackRouter

pytestmark = pytest.mark.anyio
SIGNER = Signer(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
OTHER = Signer(bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"))


@pytest.fixture
async def door() -> AsyncIterator[HttpDoor]:
    async with HttpDoor() as door:
        yield door


def adapter_for(router: LoopbackRouter, door: HttpDoor, signer: Signer = SIGNER) -> RouterAdapter:
    adapter = router_source(RouterSettings(router.url), lambda: signer, door).current()
    assert adapter is not None
    return adapter


async def connected(adapter: RouterAdapter) -> SourceStatus:
    """How its connection stands after one try."""
    connections = Connections()
    try:
        connections.follow({"osaurus": adapter})
        return await connections.connect("osaurus")
    finally:
        await connections.aclose()


async def test_it_connects_like_any_provider(door: HttpDoor) -> None:
    """By itself, to green, with its models."""
    async with LoopbackRouter() as router:
        adapter = adapter_for(router, door)
        status = await connected(adapter)

    assert (status.state, status.models) == ("connected", 2)
    assert adapter.auto_connect


@pytest.mark.parametrize(
    ("fault", "severity", "title", "action"),
    [
        (Fault("UNAUTHORIZED"), "blocked", "Router authentication failed", "Check your clock and identity."),
        (Fault("ACCOUNT_FROZEN"), "blocked", "Your Osaurus billing account is on hold", ""),
        (Fault("INSUFFICIENT_FUNDS"), "blocked", "Insufficient credits", "Add balance to continue."),
        (Fault("RATE_LIMITED"), "warning", "429 from 127.0.0.1: it asks to slow down", "It is tried again by itself."),
        (Fault(status=503), "warning", "503 from 127.0.0.1: it is failing", "It is tried again by itself."),
    ],
)
async def test_what_keeps_it_away_is_told_with_the_next_step(
    door: HttpDoor, fault: Fault, severity: str, title: str, action: str
) -> None:
    """What may pass is tried again quietly; what a user has to mend is told at once."""
    async with LoopbackRouter(faults={"GET /models": fault}) as router:
        status = await connected(adapter_for(router, door))

    assert status.state == "error"
    assert status.diagnosis is not None
    assert (status.diagnosis.severity, status.diagnosis.title) == (severity, title)
    assert status.diagnosis.action == action


async def test_another_identity_is_another_credential(door: HttpDoor) -> None:
    """So that an error of the one is no error of the other."""
    async with LoopbackRouter() as router:
        marks = {adapter_for(router, door, signer).mark() for signer in (SIGNER, SIGNER, OTHER)}

    assert len(marks) == 2


async def test_the_router_is_there_while_there_is_an_identity_and_the_switch_is_on() -> None:
    """It comes, stays the same while its identity does, and goes with it."""
    who: list[Signer | None] = [None]
    async with HttpDoor() as door:
        source = router_source(RouterSettings(), lambda: who[0], door)
        off = router_source(RouterSettings(enabled=False), lambda: SIGNER, door)
        before = source.current()
        who[0] = SIGNER
        first, again = source.current(), source.current()
        who[0] = OTHER
        second = source.current()
        who[0] = None
        after = source.current()

    assert before is after is off.current() is None
    assert first is again
    assert first is not None
    assert second is not None
    assert first is not second
    assert (first.provider, first.address, second.address) == ("osaurus", SIGNER.address, OTHER.address)


async def test_without_an_identity_the_account_says_what_to_do() -> None:
    """The sentence names the step that is missing."""
    async with HttpDoor() as door:
        source = router_source(RouterSettings(), lambda: None, door)
        with pytest.raises(errors.NoIdentity, match="Set up your Osaurus Identity"):
            source.account()


async def test_a_locked_vault_takes_only_the_router_away(caplog: pytest.LogCaptureFixture) -> None:
    """Other providers go on; the reason is logged once, and told to whoever asks for the account."""

    def locked() -> Signer | None:
        raise errors.ConfigError("The vault is locked.")

    async with HttpDoor() as door:
        source = router_source(RouterSettings(), locked, door)
        assert [source.current() for _ in range(3)] == [None] * 3
        with pytest.raises(errors.ConfigError, match="locked"):
            source.account()

    assert caplog.text.count("The vault is locked.") == 1


def test_who_may_not_spend_is_told_how_to() -> None:
    """A 403 that names the model and the scope."""
    refused = refuse_spending("osaurus/venice/model-b")

    assert (refused.status, refused.code) == (403, "spending_not_allowed")
    assert "osaurus/venice/model-b" in str(refused)
    assert f"'{SPEND}'" in str(refused)
