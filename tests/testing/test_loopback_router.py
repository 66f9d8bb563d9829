"""The reference Router: it takes the documented signatures and no others, and its books are right."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from osaurus_nb.identity.requests import sign
from osaurus_nb.identity.signer import Signer
from osaurus_nb.providers.http import AddressPolicy, Call, HttpDoor, read_capped
from osaurus_nb.testing.router import Fault, LoopbackRouter, RouterModel

pytestmark = pytest.mark.anyio
#: A public development key, of which everybody knows the private half.
SIGNER = Signer(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
AT = 1717171717
GOLDEN = {
    "R1": (
        "POST",
        "/credits/checkout",
        b'{"amount_micro":"5000000"}',
        "",
        "0x6202ec0b3ff9510d01784c935faf5af08eb10bf5b0759830ab380d833257e30b"
        "3e833d3059bb36e2e830d4315dc8f688ee09586a062949a672df7768ac566f6b1c",
    ),
    "R2": (
        "GET",
        "/models",
        b"",
        "",
        "0x14d13b3161bda6c0aacfe82978eb6d3564fcdf5b2bb5d456ec1191b3b28537da"
        "4adb3fda65f66db8f75667eec7dc0b51d19f5d7e565b2b394be367b4b5bc33fd1c",
    ),
    "R3": (
        "GET",
        "/credits/usage?limit=2&cursor=abc",
        b"",
        "nonce-1",
        "0xb3475561fb8e9df89ad401a397213f337fec2990638c458a8a623fa987424d28"
        "59e6fc685b4b9d4b76b5dcaf9c39017a8a5a255605e610a3e7b9c7f37ff3fdfc1c",
    ),
}


@pytest.fixture
async def router() -> AsyncIterator[LoopbackRouter]:
    async with LoopbackRouter() as router:
        yield router


async def send(
    router: LoopbackRouter, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Signed as now, unless it has headers already."""
    if headers is None:
        headers = sign(SIGNER, method, target, body, timestamp=int(router.clock()))
    call = Call(router.url + target, method, headers, content=body, guard=AddressPolicy(private=True))
    async with HttpDoor() as door, door.open(call) as answer:
        return answer.status_code, await read_capped(answer)


async def code(router: LoopbackRouter, *request: Any) -> str:
    """The code of the error that a request gets."""
    status, body = await send(router, *request)
    assert status >= 400
    return str(json.loads(body)["error"]["code"])


def chat(model: str = "venice/model-b", key: str = "k", **fields: Any) -> bytes:
    messages = [{"role": "user", "content": "three small words"}]
    body = {"model": model, "messages": messages, "stream": True, "max_tokens": 100, "idempotency_key": key}
    return json.dumps(body | fields).encode()


@pytest.mark.parametrize("name", GOLDEN)
async def test_the_documented_signatures_are_taken(router: LoopbackRouter, name: str) -> None:
    """Byte for byte, at the time for which they were made, and only then."""
    method, target, body, nonce, signature = GOLDEN[name]
    headers = {
        "x-wallet-address": SIGNER.address.lower(),
        "x-wallet-timestamp": str(AT),
        "x-wallet-signature": signature,
    } | ({"x-wallet-nonce": nonce} if nonce else {})
    assert headers == sign(SIGNER, method, target, body, timestamp=AT, nonce=nonce)

    assert await code(router, method, target, body, headers) == "UNAUTHORIZED"
    router.clock = lambda: AT + 290
    status, _ = await send(router, method, target, body, headers)

    assert status == 200


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/credits/checkout", b'{"amount_micro":"5000000"}'),
        ("POST", "/credits/estimate", b'{"amount_micro":"5000000"}'),
        ("POST", "/credits/checkout?x=1", b'{"amount_micro":"5000000"}'),
        ("POST", "/credits/checkout", b'{"amount_micro":"5000001"}'),
        ("POST", "/credits/checkout", b'{"amount_micro": "5000000"}'),
    ],
)
async def test_a_signature_is_for_these_bytes_alone(
    router: LoopbackRouter, method: str, target: str, body: bytes
) -> None:
    """Another method, path, query or byte of the body is refused."""
    headers = sign(SIGNER, "POST", "/credits/checkout", GOLDEN["R1"][2], timestamp=int(router.clock()))

    assert await code(router, method, target, body, headers) == "INVALID_SIGNATURE"


async def test_without_a_signature_only_the_health_is_told(router: LoopbackRouter) -> None:
    """Everything else needs a wallet."""
    assert (await send(router, "GET", "/health", b"", {}))[0] == 200
    assert await code(router, "GET", "/models", b"", {}) == "UNAUTHORIZED"


@pytest.mark.parametrize(("off", "taken"), [(-20, True), (20, True), (-40, False), (40, False)])
async def test_the_window_of_time_can_be_set(router: LoopbackRouter, off: int, taken: bool) -> None:
    """A signature of a clock that is too far off is refused."""
    router.skew = 30
    headers = sign(SIGNER, "GET", "/models", b"", timestamp=int(time.time()) + off)

    status, _ = await send(router, "GET", "/models", b"", headers)

    assert (status == 200) is taken


async def test_a_nonce_is_good_once(router: LoopbackRouter) -> None:
    """A request with one cannot be sent again by somebody who overheard it."""
    headers = sign(SIGNER, "GET", "/models", b"", timestamp=int(router.clock()), nonce="n")

    assert (await send(router, "GET", "/models", b"", headers))[0] == 200
    assert await code(router, "GET", "/models", b"", headers) == "UNAUTHORIZED"


async def test_a_key_is_charged_once_and_replayed(router: LoopbackRouter) -> None:
    """The same key and body give the same answer and the same bill; another body under it is a conflict."""
    answers = [await send(router, "POST", "/v1/chat/completions", chat()) for _ in range(3)]
    conflict = await code(router, "POST", "/v1/chat/completions", chat(max_tokens=7))
    again = await send(router, "POST", "/v1/chat/completions", chat(key="other"))

    assert len(set(answers)) == 1
    assert answers[0][0] == again[0] == 200
    assert conflict == "IDEMPOTENCY_CONFLICT"
    account = router.account(SIGNER.address)
    assert account.balance_micro == router.credit - 2 * (3 * 1 + 6 * 3)
    assert len(account.usage) == len(account.transactions) == 2


async def test_what_cannot_be_paid_is_not_begun(router: LoopbackRouter) -> None:
    """The worst case has to fit the balance, unless the request says that it may be cut to it."""
    router.account(SIGNER.address).balance_micro = 12
    refused = await code(router, "POST", "/v1/chat/completions", chat())
    _, cut = await send(router, "POST", "/v1/chat/completions", chat(key="c", clamp_to_balance=True))
    nothing = await code(router, "POST", "/v1/chat/completions", chat(key="d", clamp_to_balance=True))

    assert (refused, nothing) == ("INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS")
    assert b'"finish_reason": "length"' in cut
    assert router.account(SIGNER.address).balance_micro == 0


@pytest.mark.parametrize(
    "model",
    [
        "venice/model-b?error=RATE_LIMITED&retry_after=7",
        "venice/model-b?error=ACCOUNT_FROZEN",
        "venice/model-b?status=503",
        "nobody/knows",
        "venice/model-a",  # stale
    ],
)
async def test_a_refusal_costs_nothing(router: LoopbackRouter, model: str) -> None:
    """An error in front of the answer is no bill."""
    status, _ = await send(router, "POST", "/v1/chat/completions", chat(model))

    assert status >= 400
    assert router.charges == 0


async def test_it_fails_so_often_and_then_answers(router: LoopbackRouter) -> None:
    """`times` counts for each key."""
    body = chat("venice/model-b?status=503&times=2")
    statuses = [(await send(router, "POST", "/v1/chat/completions", body))[0] for _ in range(3)]

    assert statuses == [503, 503, 200]


async def test_a_cut_answer_stays_charged(router: LoopbackRouter) -> None:
    """As with a real one: what was made has to be paid, whoever missed it."""
    with pytest.raises(httpx2.TransportError):
        await send(router, "POST", "/v1/chat/completions", chat("venice/model-b?cut=2"))

    assert router.charges == 1


async def test_calls_of_the_account_fail_on_request(router: LoopbackRouter) -> None:
    """By path, and only so often."""
    router.faults["GET /credits/balance"] = Fault("INTERNAL")

    assert await code(router, "GET", "/credits/balance") == "INTERNAL"
    assert (await send(router, "GET", "/credits/balance"))[0] == 200


@pytest.mark.parametrize(
    ("target", "body", "said"),
    [
        ("/credits/checkout", {"amount_micro": "4999999"}, "BELOW_MINIMUM_TOPUP"),
        ("/credits/checkout", {"amount_micro": 5_000_000}, "INVALID_REQUEST"),
        ("/credits/estimate", {"model": "venice/model-b"}, "INVALID_REQUEST"),
        ("/credits/nothing", {}, "NOT_FOUND"),
        ("/v1/chat/completions", {"model": "venice/model-b", "stream": True}, "INVALID_REQUEST"),
        ("/v1/chat/completions", [], "INVALID_REQUEST"),
    ],
)
async def test_a_malformed_request_is_told(router: LoopbackRouter, target: str, body: Any, said: str) -> None:
    """It gets a code, not an answer."""
    assert await code(router, "POST", target, json.dumps(body).encode()) == said


def test_a_cost_is_rounded_up() -> None:
    """Less than a micro-dollar is one."""
    assert RouterModel("m", input_micro=1, output_micro=1).cost(1, 1) == 1
    assert RouterModel("m", input_micro=1_000_000, output_micro=3_000_000).cost(2, 3) == 11
