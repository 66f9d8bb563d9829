"""A reference Osaurus Router on 127.0.0.1: checks signatures, meters, charges once for each key, and fails on request.

    async with LoopbackRouter() as router:
        settings = RouterSettings(url=router.url)

`python -m osaurus_nb.testing.router` serves until killed. It follows what is known of the real one's clients; the real
server was never seen. It knows no secret and keeps nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl

from osaurus_nb.errors import AccessDenied
from osaurus_nb.identity.requests import signed_by
from osaurus_nb.testing.loopback import Recorded
from osaurus_nb.testing.router_answers import RouterBehaviour, refusal, stream
from osaurus_nb.testing.router_books import MICRO, MINIMUM_TOP_UP, Account, RouterModel, page

__all__ = ["Account", "LoopbackRouter", "RouterBehaviour", "RouterModel", "serve"]

MODELS = (
    RouterModel("venice/model-b", capabilities={"tools": True, "vision": False}),
    RouterModel("venice/model-a", stale=True),
    RouterModel("openrouter/tiny", "openrouter", 8192, {}, MICRO // 10, MICRO // 5),
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Refused(Exception):
    """This request gets an error with that code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Fault:
    """How calls to one path fail, and how often still."""

    code: str = ""
    status: int = 0
    times: int = 1
    delay: float = 0.0


@dataclass(slots=True, repr=False)
class LoopbackRouter:
    """`credit` is what a new wallet has; `skew` how many seconds a signature's time may be off; `clock` its own time.

    `requests` records all that arrived, `accounts` has the books by address, `faults` what shall go wrong by
    method and path, e.g. `router.faults["GET /credits/balance"] = Fault(status=503)`.
    """

    models: tuple[RouterModel, ...] = MODELS
    credit: int = 10 * MICRO
    skew: float = 300.0
    clock: Callable[[], float] = time.time
    port: int = 0
    requests: list[Recorded] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    _nonces: set[tuple[str, str]] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def charges(self) -> int:
        """How many bills were written, over all wallets."""
        return sum(len(account.bills) for account in self.accounts.values())

    def account(self, address: str) -> Account:
        """The books of a wallet, opened when it is first named."""
        return self.accounts.setdefault(address.lower(), Account(self.credit))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        self._open.discard(writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer the next request of a connection. False once it is to be closed."""
        request = await _read(reader)
        self.requests.append(request)
        async for piece in self._pieces(request):
            if piece is None:
                writer.transport.abort()
                return False
            writer.write(piece)
            request.sent += len(piece)
            await writer.drain()
        request.finished.set()
        return True

    async def _pieces(self, request: Recorded) -> AsyncIterator[bytes | None]:
        """What goes out. None drops the connection."""
        path, _, query = request.path.partition("?")
        route = f"{request.method} {path}"
        fault = self.faults.get(route)
        try:
            if fault is not None and fault.times > 0:
                fault.times -= 1
                await asyncio.sleep(fault.delay)
                yield self._failed(fault.code, fault.status)
                return
            if route == "GET /health":
                yield self._whole(200, b'{"status":"ok"}')
                return
            account = self.account(self._wallet(request))
            if route == "POST /v1/chat/completions":
                async for piece in self._chat(account, request.body):
                    yield piece
                return
            yield self._whole(200, json.dumps(self._asked(route, dict(parse_qsl(query)), account, request)).encode())
        except Refused as refused:
            yield self._failed(refused.code)

    def _wallet(self, request: Recorded) -> str:
        """Whose request this is, by its signature."""
        if "x-wallet-signature" not in request.headers:
            raise Refused("UNAUTHORIZED")
        try:
            signed = signed_by(request.method, request.path, request.body, request.headers)
        except AccessDenied:
            raise Refused("INVALID_SIGNATURE") from None
        used = (signed.address, signed.nonce)
        if abs(self.clock() - signed.timestamp) > self.skew or (signed.nonce and used in self._nonces):
            raise Refused("UNAUTHORIZED")
        self._nonces.add(used)
        return signed.address

    def _asked(self, route: str, query: Mapping[str, str], account: Account, request: Recorded) -> dict[str, Any]:
        """The calls that are answered in one piece."""
        body = _object(request.body)
        match route:
            case "GET /models":
                return {"data": [model.row() for model in self.models]}
            case "GET /credits/balance":
                return {"balance_micro": str(account.balance_micro), "frozen": account.frozen}
            case "GET /credits/usage":
                return page(account.usage, _limit(query), query.get("cursor"))
            case "GET /credits/transactions":
                return page(account.transactions, _limit(query), query.get("cursor"))
            case "POST /credits/checkout":
                return self._checkout(body)
            case "POST /credits/estimate":
                return self._estimate(body)
            case _:
                raise Refused("NOT_FOUND")

    def _checkout(self, body: Mapping[str, Any]) -> dict[str, Any]:
        amount = body.get("amount_micro")
        if not isinstance(amount, str) or not amount.isdigit():
            raise Refused("INVALID_REQUEST")
        if int(amount) < MINIMUM_TOP_UP:
            raise Refused("BELOW_MINIMUM_TOPUP")
        return {"client_secret": "cs_test_secret", "checkout_url": f"https://checkout.invalid/pay/{amount}"}

    def _estimate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        model = self._model(str(body.get("model")))
        tokens, most = body.get("input_tokens"), body.get("max_tokens")
        if type(tokens) is not int or type(most) is not int:
            raise Refused("INVALID_REQUEST")
        return {
            "estimated_max_micro": str(model.cost(tokens, most)),
            "typical_micro": str(model.cost(tokens, most // 4)),
        }

    def _model(self, name: str) -> RouterModel:
        base = name.partition("?")[0]
        found = next((model for model in self.models if model.id == base and not model.stale), None)
        if found is None:
            raise Refused("MODEL_NOT_FOUND")
        return found

    async def _chat(self, account: Account, body: bytes) -> AsyncIterator[bytes | None]:
        ask = _object(body)
        key, name = ask.get("idempotency_key"), str(ask.get("model"))
        model, how = self._model(name), RouterBehaviour.of(name)
        if not isinstance(key, str) or not key or ask.get("stream") is not True:
            raise Refused("INVALID_REQUEST")
        if account.frozen:
            raise Refused("ACCOUNT_FROZEN")
        if not account.admit(key, body):
            raise Refused("IDEMPOTENCY_CONFLICT")
        if how.times and account.seen[key] > how.times:
            how = RouterBehaviour(words=how.words)
        await asyncio.sleep(how.delay)
        if how.error or how.status:
            yield self._failed(how.error, how.status, how.retry_after)
            return
        asked, most = _tokens(ask), self._most(account, key, model, ask)
        words = how.answer()[:most]
        if len(words) < len(how.answer()):
            how = replace(how, finish="length")
        bill = account.charge(key, model, (asked, len(words)), _stamp(self.clock()))
        yield self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for number, line in enumerate(stream(name, words, how, bill)):
            if number and how.interval:
                await asyncio.sleep(how.interval)
            if how.cut and number >= how.cut:
                yield None
                return
            yield b"%x\r\n%b\r\n" % (len(line), line)
        yield b"0\r\n\r\n"

    def _most(self, account: Account, key: str, model: RouterModel, ask: Mapping[str, Any]) -> int:
        """How many tokens the answer may have, and whether that can be paid."""
        most = ask.get("max_tokens") or ask.get("max_completion_tokens")
        if type(most) is not int or most < 1:
            raise Refused("INVALID_REQUEST")
        if key in account.bills or model.cost(_tokens(ask), most) <= account.balance_micro:
            return most
        if ask.get("clamp_to_balance") is not True:
            raise Refused("INSUFFICIENT_FUNDS")
        left = account.balance_micro - model.cost(_tokens(ask), 0)
        if left * MICRO < model.output_micro:
            raise Refused("INSUFFICIENT_FUNDS")
        return left * MICRO // model.output_micro

    def _failed(self, code: str, status: int = 0, retry_after: str = "") -> bytes:
        told, body = refusal(code) if code else (status, b"<html>not JSON</html>")
        return self._whole(status or told, body, {"Retry-After": retry_after} if retry_after else {})

    def _whole(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        sized = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        return self._head(status, sized) + body

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        named = {"Date": formatdate(self.clock(), usegmt=True), **headers}
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in named.items()), "", ""]).encode()


async def _read(reader: asyncio.StreamReader) -> Recorded:
    """The next request. `path` has its query. Trusts its client: it is a test double."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Recorded(method, target, headers, body, time.monotonic())


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body) if body else {}
    except ValueError:
        raise Refused("INVALID_REQUEST") from None
    if not isinstance(value, dict):
        raise Refused("INVALID_REQUEST")
    return value


def _tokens(ask: Mapping[str, Any]) -> int:
    """A word is a token here."""
    said = (message.get("content") for message in ask.get("messages") or ())
    return sum(len(json.dumps(content).split()) for content in said)


def _limit(query: Mapping[str, str]) -> int:
    return min(max(int(query.get("limit", "50")), 1), 100)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def serve(port: int = 0) -> None:
    """Print the URL, then serve until killed."""
    async with LoopbackRouter(port=port) as router:
        sys.stdout.write(router.url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:2])))
