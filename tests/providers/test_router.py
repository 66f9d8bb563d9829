"""The Router as a source of models: signed anew, charged once, and never silent about what it cost."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from osaurus_nb import errors
from osaurus_nb import events as ev
from osaurus_nb.client import AsyncClient
from osaurus_nb.identity.signer import Signer
from osaurus_nb.messages import assistant, user
from osaurus_nb.models import Capabilities, ModelCard, Price
from osaurus_nb.ports import Attempt, Step, Timeouts
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router import RouterAdapter, RouterSettings, RouterSource, router_source
from osaurus_nb.providers.router_calls import SignedCalls
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.router import LoopbackRouter

pytestmark = pytest.mark.anyio
SIGNER = Signer(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
MODEL = "venice/model-b"


@dataclass
class Ticking:
    """A clock that is a second later whenever it is asked."""

    at: float = field(default_factory=time.time)

    def now(self) -> datetime:
        self.at += 1
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at


@dataclass
class Desk:
    """A reference Router, and what asks it."""

    router: LoopbackRouter
    source: RouterSource
    client: AsyncClient

    @property
    def adapter(self) -> RouterAdapter:
        adapter = self.source.current()
        assert adapter is not None
        return adapter

    async def events(self, request: ChatRequest, attempt: Attempt) -> list[ev.Event]:
        card = ModelCard(request.model, "osaurus")
        return [event async for event in self.adapter.stream(request, card, attempt)]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with LoopbackRouter() as router, HttpDoor() as door:
        source = router_source(RouterSettings(router.url), lambda: SIGNER, door, clock=Ticking())
        adapter = source.current()
        assert adapter is not None
        async with AsyncClient(model=f"osaurus/{MODEL}", backend=Runtime([adapter])) as client:
            yield Desk(router, source, client)


def step(id: str = "step") -> Step:
    return Step(id=id, request_id="run", model=MODEL, started=0.0)


@pytest.mark.parametrize(
    ("method", "target", "body", "signature"),
    [
        (
            "POST",
            "/credits/checkout",
            b'{"amount_micro":"5000000"}',
            "0x6202ec0b3ff9510d01784c935faf5af08eb10bf5b0759830ab380d833257e30b"
            "3e833d3059bb36e2e830d4315dc8f688ee09586a062949a672df7768ac566f6b1c",
        ),
        (
            "GET",
            "/models",
            b"",
            "0x14d13b3161bda6c0aacfe82978eb6d3564fcdf5b2bb5d456ec1191b3b28537da"
            "4adb3fda65f66db8f75667eec7dc0b51d19f5d7e565b2b394be367b4b5bc33fd1c",
        ),
    ],
)
async def test_calls_have_the_documented_signature(method: str, target: str, body: bytes, signature: str) -> None:
    """Byte for byte, with the address in small letters and no nonce."""
    async with HttpDoor() as door:
        call = SignedCalls("https://router.osaurus.ai", SIGNER, door, Ticking(1717171716)).signed(method, target, body)

    assert {name: value for name, value in call.headers.items() if name.startswith("x-")} == {
        "x-wallet-address": SIGNER.address.lower(),
        "x-wallet-timestamp": "1717171717",
        "x-wallet-signature": signature,
    }
    assert (call.url, call.content) == (f"https://router.osaurus.ai{target}", body)


async def test_the_hosted_router_is_never_looked_for_on_this_machine() -> None:
    """Its name may not lead to a local address; one that the user typed may."""
    async with HttpDoor() as door:
        hosted = SignedCalls("https://router.osaurus.ai", SIGNER, door, Ticking()).signed("GET", "/models")
        typed = SignedCalls("http://127.0.0.1:1", SIGNER, door, Ticking()).signed("GET", "/models")

    assert hosted.guard is not None
    assert typed.guard is not None
    with pytest.raises(Exception, match="local network"):
        hosted.guard.check("router.osaurus.ai", "127.0.0.1")
    typed.guard.check("127.0.0.1", "127.0.0.1")


async def test_an_answer_streams_through_with_its_bill(desk: Desk) -> None:
    """Words, usage and the charge; nothing of the bill is among the words."""
    reply = await desk.client.chat("three small words")
    events = await desk.events(ChatRequest(MODEL, (user("three small words"),)), Attempt(step()))

    assert reply.text == "Hello from the loopback router."
    assert (reply.provider, reply.finish_reason) == ("osaurus", "stop")
    charge = ev.fold(events).charge
    assert charge is not None
    assert (charge.cost_micro, charge.request_id, charge.input_tokens, charge.output_tokens) == (21, "req_2", 3, 6)
    assert desk.router.account(SIGNER.address).balance_micro == desk.router.credit - 2 * 21


async def test_a_hundred_automatic_retries_are_charged_once(desk: Desk) -> None:
    """Each is signed anew over the same bytes, so that the Router knows it again."""
    request = ChatRequest(f"{MODEL}?cut=3&times=99", (user("hi"),))
    for number in range(1, 100):
        with pytest.raises(errors.ProviderError):
            await desk.events(request, Attempt(step(), number))
    events = await desk.events(request, Attempt(step(), 100))

    sent = desk.router.requests
    assert ev.fold(events).text == "Hello from the loopback router."
    assert len(sent) == 100
    assert len({request.body for request in sent}) == 1
    assert len({request.headers["x-wallet-signature"] for request in sent}) == 100
    assert desk.router.charges == 1


async def test_a_users_retry_is_charged_again(desk: Desk) -> None:
    """Asking once more is a step of its own, whatever was asked before."""
    for _ in range(2):
        await desk.client.chat("hi")

    assert desk.router.charges == 2


async def test_each_candidate_of_a_step_is_charged_for_itself(desk: Desk) -> None:
    """A paid answer that was empty and the one that stood in for it are two charges, and both are told."""
    reply = await desk.client.chat(
        "hi", model=f"osaurus/{MODEL}?empty=summary-only", fallbacks=["osaurus/openrouter/tiny"]
    )

    assert reply.text == "Hello from the loopback router."
    assert desk.router.charges == 2


async def test_the_same_key_with_another_body_is_shown(desk: Desk) -> None:
    """A caller's own key is kept, so that the Router tells him; nobody else is asked instead."""
    attempt = Attempt(step(), idempotency_key="mine")
    await desk.events(ChatRequest(MODEL, (user("hi"),)), attempt)
    await desk.events(ChatRequest(MODEL, (user("hi"),)), Attempt(step("later"), idempotency_key="mine"))
    with pytest.raises(errors.IdempotencyConflict, match="another body") as caught:
        await desk.events(ChatRequest(MODEL, (user("ho"),)), attempt)

    assert desk.router.charges == 1
    assert not caught.value.failover


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("error=UNAUTHORIZED", errors.SignatureRejected, "Check your clock and identity"),
        ("error=INVALID_SIGNATURE", errors.SignatureRejected, "Check your clock and identity"),
        ("error=INSUFFICIENT_FUNDS", errors.InsufficientFunds, "Add balance to continue"),
        ("error=ACCOUNT_FROZEN", errors.AccountFrozen, "billing account is on hold"),
        ("error=RATE_LIMITED&retry_after=7", errors.RateLimited, "try again in a moment"),
        ("error=PROVIDER_ERROR", errors.Unavailable, "the upstream failed (PROVIDER_ERROR)"),
        ("error=WEIRD", errors.Refused, "as asked for (WEIRD)"),
        ("status=429", errors.RateLimited, "try again in a moment"),
        ("status=402", errors.InsufficientFunds, "Add balance"),
        ("status=500", errors.Unavailable, "HTTP_500"),
        ("status=503", errors.Unavailable, "HTTP_503"),
        ("status=504", errors.TooSlow, "HTTP_504"),
        ("status=307", errors.BadAnswer, "307"),
        ("in_stream=PROVIDER_ERROR", errors.StreamCut, "the upstream failed (PROVIDER_ERROR)"),
        ("in_stream=INSUFFICIENT_FUNDS", errors.StreamCut, "Add balance to continue"),
        ("words=0&in_stream=RATE_LIMITED", errors.RateLimited, "try again"),
        ("cut=0&words=1", errors.ProviderError, ""),
        ("cut=3", errors.StreamCut, ""),
        ("empty=raw-empty", errors.EmptyAnswer, "raw-empty"),
        ("empty=summary-only", errors.EmptyAnswer, "summary-only. You were charged <$0.0001 for 1 tokens."),
        ("empty=usage-only", errors.EmptyAnswer, "usage-only"),
        ("empty=unrecognized-events", errors.BadAnswer, "none of an answer"),
        ("empty=empty-after-events&finish=length", errors.EmptyAnswer, "raise max_tokens"),
    ],
)
async def test_each_fault_is_of_its_kind(desk: Desk, fault: str, kind: type[errors.OsaurusError], said: str) -> None:
    """Before the answer and inside it, with the words that tell what to do."""
    if fault.startswith("cut=0"):
        fault = "cut=1"
    with pytest.raises(kind) as caught:
        await desk.client.chat("hush", model=f"osaurus/{MODEL}?{fault}")

    assert said in str(caught.value)
    assert "hush" not in str(caught.value)
    if "retry_after" in fault:
        assert caught.value.retry_after == 7


@pytest.mark.parametrize("form", ["split=1", "split=7", "bare=1", "bare=2", "summary=0", "summary=2", "usage=0"])
async def test_streams_that_need_mending_are_answers(desk: Desk, form: str) -> None:
    """What the Router's upstreams make of a stream, its user does not see."""
    reply = await desk.client.chat("hi", model=f"osaurus/{MODEL}?{form}")

    assert reply.text == "Hello from the loopback router."
    assert reply.finish_reason == "stop"


async def test_an_empty_success_is_told(desk: Desk) -> None:
    """It ends properly, with the notice that all providers' have, and with what it cost."""
    reply = await desk.client.chat("hi", model=f"osaurus/{MODEL}?empty=empty-after-events")

    assert reply.text == ""
    [notice] = [warning.message for warning in reply.warnings if warning.code == "empty_answer"]
    assert notice.startswith("The model returned no visible text")
    assert notice.endswith("You were charged <$0.0001 for 1 tokens.")


@pytest.mark.parametrize(
    "query", ["empty=empty-after-events", "empty=summary-only", "empty=empty-after-events&finish=length"]
)
async def test_a_paid_candidate_that_was_empty_is_told_in_the_attempts(desk: Desk, query: str) -> None:
    """Who keeps books learns of its charge, although another one answered."""
    reply = await desk.client.chat("hi", model=f"osaurus/{MODEL}?{query}", fallbacks=["osaurus/openrouter/tiny"])

    [failed] = [attempt for attempt in reply.attempts if isinstance(attempt, ev.AttemptFailed)]
    assert isinstance(failed.error, errors.EmptyAnswer)
    assert failed.error.charge is not None
    assert failed.error.charge.cost_micro == 1


async def test_an_error_carries_what_was_charged_all_the_same(desk: Desk) -> None:
    """Whoever keeps books sees it, although no answer came."""
    request = ChatRequest(f"{MODEL}?empty=summary-only", (user("hi"),))
    with pytest.raises(errors.EmptyAnswer) as caught:
        await desk.events(request, Attempt(step()))

    assert caught.value.charge is not None
    assert caught.value.charge.request_id == "req_1"


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("empty=raw-empty", "raw-empty"),
        ("empty=summary-only", "summary-only"),
        ("empty=usage-only", "usage-only"),
        ("empty=unrecognized-events", "unrecognized-events"),
        ("empty=empty-after-events", "empty-after-events"),
    ],
)
async def test_an_empty_stream_is_noted_for_support(
    desk: Desk, caplog: pytest.LogCaptureFixture, query: str, kind: str
) -> None:
    """One line with its class and the end of the key; no word of the prompt, and not the whole key."""
    request = ChatRequest(f"{MODEL}?{query}", (user("hush"),))
    with caplog.at_level(logging.WARNING), contextlib.suppress(errors.ProviderError):
        await desk.events(request, Attempt(step()))

    [line] = [record.getMessage() for record in caplog.records if "[EmptyStream]" in record.getMessage()]
    key = desk.router.requests[-1].json["idempotency_key"]
    assert f"[Osaurus][Router][EmptyStream] class={kind} model={MODEL}?{query}" in line
    assert line.endswith(f"key=…{key[-12:]}")
    assert "hush" not in line
    assert key not in line


@pytest.mark.parametrize("query", ["status=503", "cut=1", "words=3"])
async def test_what_is_no_empty_stream_is_not_noted(desk: Desk, caplog: pytest.LogCaptureFixture, query: str) -> None:
    """Refusals, cuts and answers have their own words."""
    with caplog.at_level(logging.WARNING), contextlib.suppress(errors.OsaurusError):
        await desk.events(ChatRequest(f"{MODEL}?{query}", (user("hi"),)), Attempt(step()))

    assert "EmptyStream" not in caplog.text


async def test_a_wrong_clock_is_named(desk: Desk) -> None:
    """The refusal says by how much, in which direction and what to do."""
    desk.router.clock = lambda: time.time() + 3600
    with pytest.raises(errors.CredentialRejected, match=r"about (59|60) minutes behind: set it right"):
        await desk.client.chat("hi")


async def test_a_right_clock_is_not_blamed(desk: Desk) -> None:
    """Where the clocks agree nothing is said of them but the Router's own sentence."""
    with pytest.raises(errors.CredentialRejected) as caught:
        await desk.client.chat("hi", model=f"osaurus/{MODEL}?error=UNAUTHORIZED")

    assert "minutes" not in str(caught.value)


async def test_silence_is_borne_only_so_long(desk: Desk) -> None:
    """The engine's deadlines hold for the Router too."""
    with pytest.raises(errors.TooSlow):
        async with AsyncClient(
            model=f"osaurus/{MODEL}?delay=30",
            backend=Runtime([desk.adapter], timeouts=Timeouts(first_token=0.2)),
        ) as client:
            await client.chat("hi")


async def test_a_left_out_prefill_is_a_warning(desk: Desk) -> None:
    """The answer says what was not carried."""
    events = await desk.events(ChatRequest(MODEL, (user("hi"), assistant("Well"))), Attempt(step()))

    assert [event.code for event in events if isinstance(event, ev.Warned)] == ["prefill_dropped"]


async def test_models_are_listed_with_prices_and_without_stale_ones(desk: Desk) -> None:
    """What the picker shows: where it is, what it can, what it costs."""
    cards = await desk.client.models()

    assert [card.name for card in cards] == ["osaurus/venice/model-b", "osaurus/openrouter/tiny"]
    assert cards[0].capabilities == Capabilities(tools=True, vision=False)
    assert cards[0].price == Price(Decimal(1), Decimal(3))
    assert (cards[0].context_length, cards[0].endpoint) == (131_072, "loopback")


async def test_a_list_that_cannot_be_had_is_told(desk: Desk) -> None:
    """The status of the source says why; nothing else suffers."""
    await desk.router.__aexit__()
    [status] = await desk.client.status()

    assert status.models == 0
    assert status.error is not None
    assert "listens" in status.error
