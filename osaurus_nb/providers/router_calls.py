"""Requests that the Router takes: signed anew each time, over the very bytes and the very path that go out."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from osaurus_nb.errors import BadAnswer, OsaurusError, SignatureRejected, TooSlow
from osaurus_nb.identity import requests
from osaurus_nb.identity.signer import Signer
from osaurus_nb.models import ROUTER, ModelCard
from osaurus_nb.ports import Clock
from osaurus_nb.providers.dial import AT_HOME
from osaurus_nb.providers.exchange import Refusal, fetch
from osaurus_nb.providers.http import AddressPolicy, Answer, Call, HttpDoor
from osaurus_nb.resilience.retry_after import retry_after, should_retry
from osaurus_nb.wire.osaurus_router import fault

#: Seconds: one answer in one piece, and that with all its waits.
REQUEST_TIMEOUT, TOTAL_TIMEOUT = 30.0, 120.0
#: Clocks that differ by less than this many seconds are not worth a word.
SKEW = 60.0


class SignedCalls:
    """The Router at one address, in the name of one identity."""

    def __init__(self, url: str, signer: Signer, door: HttpDoor, clock: Clock) -> None:
        self.door = door
        self._url = url.rstrip("/")
        self._signer = signer
        self._clock = clock
        self.host = httpx2.URL(self._url).host
        # Only the hosted one is known to be in the public network; another one was typed.
        self._guard = AddressPolicy(private=not self.host.endswith("osaurus.ai"))

    def confined(self) -> SignedCalls:
        """The same, held to this machine and its networks."""
        twin = copy.copy(self)
        twin._guard = AT_HOME
        return twin

    def __repr__(self) -> str:
        return f"SignedCalls({self.host!r}, {self.address})"

    @property
    def address(self) -> str:
        return self._signer.address

    def signed(self, method: str, target: str, body: bytes = b"") -> Call:
        """A call of now. It must not be kept: its signature is only good for a while."""
        url = httpx2.URL(self._url + target)
        headers = requests.sign(
            self._signer,
            method,
            url.raw_path.decode("ascii"),
            body,
            timestamp=int(self._clock.now().timestamp()),
        )
        if body:
            headers["content-type"] = "application/json"
        return Call(str(url), method, headers, content=body, read=REQUEST_TIMEOUT, guard=self._guard)

    async def ask(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, within: float = TOTAL_TIMEOUT
    ) -> Mapping[str, Any]:
        """The JSON object of an answer in one piece."""
        content = json.dumps(body, separators=(",", ":"), sort_keys=True).encode() if body is not None else b""
        return await self._fetch(self.signed(method, target, content), within)

    async def healthy(self) -> bool:
        """Is it there at all? Not signed, so that it can be told from a clock that is wrong."""
        call = Call(f"{self._url}/health", "GET", read=REQUEST_TIMEOUT, guard=self._guard)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                await fetch(self.door, call, self.refusal(), provider=ROUTER)
        except (OsaurusError, TimeoutError):
            return False
        return True

    def refusal(self, card: ModelCard | None = None) -> Refusal:
        """What an answer means that is not a 200."""

        def refusal(response: Answer, body: bytes) -> OsaurusError:
            if response.status_code < 400:
                said = f"The Router answered with status {response.status_code}; redirects are not followed."
                return BadAnswer(said, provider=ROUTER, upstream_status=response.status_code)
            payload = _parsed(body)
            error = fault(
                payload,
                provider=ROUTER,
                model=card.id if card is not None else None,
                status=response.status_code,
                retry_after=retry_after(response.headers, self._clock.now(), payload),
            )
            error.should_retry = should_retry(response.headers)
            skew = self._skew(response.headers)
            return error if not isinstance(error, SignatureRejected) or skew is None else _told(error, skew)

        return refusal

    async def _fetch(self, call: Call, within: float) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(within):
                body = await fetch(self.door, call, self.refusal(), provider=ROUTER)
        except TimeoutError:
            raise TooSlow("The Router was too slow.", provider=ROUTER) from None
        payload = _parsed(body)
        if not isinstance(payload, dict):
            raise BadAnswer("The Router answered in no JSON we know.", provider=ROUTER)
        return payload

    def _skew(self, headers: Mapping[str, str]) -> float | None:
        """By how many seconds our clock is ahead of the Router's, where that is worth a word."""
        try:
            theirs = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return None
        ahead = self._clock.now().timestamp() - theirs
        return ahead if abs(ahead) >= SKEW else None


def _told(error: SignatureRejected, ahead: float) -> SignatureRejected:
    size = abs(ahead)
    span = f"{size / 60:.0f} minutes" if size < 7200 else f"{size / 3600:.0f} hours"
    said = f"{error} This machine's clock is about {span} {'ahead' if ahead > 0 else 'behind'}: set it right."
    return SignatureRejected(said, provider=error.provider, model=error.model, upstream_status=error.upstream_status)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
