"""Promises of the HTTP door and of the tables that end foreign faults."""

from __future__ import annotations

import json
import logging

import httpx2
import pytest

from osaurus_nb import errors
from osaurus_nb.providers.dial import AddressPolicy, AddressRefused, ConnectionRefused, NameNotFound, TlsFailed
from osaurus_nb.providers.http import (
    AnswerTooLarge,
    Call,
    HttpDoor,
    read_capped,
    redact,
    status_error,
    translate,
)
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream

KEY = "hush-4711-canary"
PRIVATE = AddressPolicy(private=True)


def call(upstream: LoopbackUpstream, model: str = "m", *, stream: bool = False) -> Call:
    body = json.dumps({"model": model, "stream": stream, "messages": []}).encode()
    return Call(f"{upstream.url}/chat/completions", headers={"Authorization": f"Bearer {KEY}"}, content=body)


@pytest.mark.anyio
async def test_the_door_sends_what_it_is_given() -> None:
    """Headers and body go out as they are, and compression is not asked for."""
    async with LoopbackUpstream() as upstream, HttpDoor(guard=PRIVATE) as door:
        async with door.open(call(upstream)) as response:
            body = await read_capped(response)

        assert json.loads(body)["object"] == "chat.completion"
        assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert upstream.requests[0].headers["accept-encoding"] == "identity"
        assert upstream.requests[0].json["model"] == "m"


@pytest.mark.anyio
async def test_local_addresses_are_shut_unless_the_call_says_so() -> None:
    """A door reaches only the public network; a provider that the user typed brings its own guard."""
    async with LoopbackUpstream() as upstream, HttpDoor() as door:
        with pytest.raises(AddressRefused):
            async with door.open(Call(f"{upstream.url}/models", "GET")):
                pass
        async with door.open(Call(f"{upstream.url}/models", "GET", guard=PRIVATE)) as response:
            assert response.status_code == 200

        assert len(upstream.requests) == 1


@pytest.mark.anyio
async def test_a_redirect_is_not_followed() -> None:
    """The prompt and the key go to the configured host and nowhere else."""
    async with LoopbackUpstream() as upstream, HttpDoor(guard=PRIVATE) as door:
        async with door.open(call(upstream, "redirect")) as response:
            fault = status_error(response.status_code, response.headers, b"", provider="acme")

        assert response.status_code == 307
        assert isinstance(fault, errors.BadAnswer)
        assert "redirected.invalid" in fault.message
        assert len(upstream.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["gzip-bomb", "m?words=200000"])
async def test_a_body_is_capped(model: str) -> None:
    """An answer that is too large, or unpacks to be, is dropped at the cap."""
    async with LoopbackUpstream() as upstream, HttpDoor(guard=PRIVATE) as door, door.open(call(upstream, model)) as got:
        with pytest.raises(AnswerTooLarge):
            await read_capped(got, limit=1 << 20)


@pytest.mark.anyio
async def test_no_cookie_is_kept() -> None:
    """A provider cannot mark us: what it sets is not sent back, through the plain client either."""
    setting = Behaviour(raw=b"HTTP/1.1 200 OK\r\nSet-Cookie: id=1; Path=/\r\nContent-Length: 0\r\n\r\n")
    async with LoopbackUpstream({"m": setting}) as upstream, HttpDoor(guard=PRIVATE) as door:
        client = door.client()
        await client.post(f"{upstream.url}/chat/completions", json={"model": "m"})

        await client.get(f"{upstream.url}/models")

        assert len(upstream.requests) == 2
        assert "cookie" not in upstream.requests[1].headers


@pytest.mark.anyio
async def test_keys_stay_out_of_logs_and_reprs(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log at its loudest nor a repr shows a key, in a header or in the address."""
    caplog.set_level(logging.DEBUG)
    async with LoopbackUpstream() as upstream, HttpDoor(guard=PRIVATE) as door:
        request = Call(f"{upstream.url}/models?key={KEY}", "GET", headers={"Authorization": f"Bearer {KEY}"})
        async with door.open(request) as response:
            await read_capped(response)

    assert KEY not in caplog.text
    assert KEY not in repr(request)


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (NameNotFound("the host name x was not found"), errors.Unreachable, "spelling"),
        (ConnectionRefused("nobody listens at x port 1"), errors.Unreachable, "nobody listens"),
        (TlsFailed("the certificate of x was not accepted: expired"), errors.Unreachable, "expired"),
        (AddressRefused("x is 169.254.169.254"), errors.Unreachable, "not contacted"),
        (httpx2.ConnectTimeout("no"), errors.Unreachable, "accepted no connection"),
        (httpx2.ConnectError("no route"), errors.Unreachable, "no route"),
        (httpx2.ProxyError("the proxy answered 407"), errors.Unreachable, "407"),
        (httpx2.ReadTimeout("no"), errors.TooSlow, "too long"),
        (httpx2.WriteTimeout("no"), errors.TooSlow, "take the request"),
        (httpx2.PoolTimeout("no"), errors.TooSlow, "too many requests"),
        (httpx2.ReadError("no"), errors.Unreachable, "lost"),
        (httpx2.WriteError("no"), errors.Unreachable, "lost"),
        (httpx2.RemoteProtocolError("it is not HTTP"), errors.BadAnswer, "not HTTP"),
        (AnswerTooLarge("larger than 9 bytes"), errors.BadAnswer, "too much"),
        (httpx2.DecodingError("no"), errors.BadAnswer, "unpacked"),
        (httpx2.LocalProtocolError("a line break"), errors.Unreachable, "not asked"),
        (httpx2.UnsupportedProtocol("must start with http"), errors.Unreachable, "http"),
        (httpx2.InvalidURL("no"), errors.Unreachable, "valid URL"),
        (ValueError("something else"), errors.BadAnswer, "ValueError"),
    ],
)
def test_every_exception_has_its_sentence(exc: Exception, kind: type[errors.ProviderError], words: str) -> None:
    """A fault of the connection names the provider and says what kind of fault it is."""
    fault = translate(exc, provider="acme", model="m")

    assert type(fault) is kind
    assert words in fault.message
    assert fault.message.startswith("acme ")
    assert (fault.provider, fault.model) == ("acme", "m")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "", errors.Refused),
        (401, "invalid_api_key", errors.CredentialRejected),
        (402, "", errors.QuotaExhausted),
        (403, "", errors.CredentialRejected),
        (404, "model_not_found", errors.NotOffered),
        (404, "", errors.NotOffered),
        (400, "model_not_found", errors.NotOffered),
        (400, "context_length_exceeded", errors.ContextTooLong),
        (408, "", errors.Unavailable),
        (409, "", errors.Unavailable),
        (413, "", errors.Refused),
        (422, "", errors.Refused),
        (429, "rate_limit_exceeded", errors.RateLimited),
        (429, "insufficient_quota", errors.QuotaExhausted),
        (500, "", errors.Unavailable),
        (503, "", errors.Unavailable),
        (504, "", errors.TooSlow),
        (529, "overloaded_error", errors.Unavailable),
    ],
)
def test_every_status_has_its_class(status: int, code: str, kind: type[errors.OsaurusError]) -> None:
    """The class of a refusal follows its status, and its code where that says more."""
    body = json.dumps({"error": {"message": "Their words.", "code": code or None}}).encode()

    fault = status_error(status, {"retry-after": "7"}, body, provider="acme", model="m")

    assert type(fault) is kind
    assert "Their words." in fault.message
    if isinstance(fault, errors.ProviderError):
        assert (fault.upstream_status, fault.retry_after) == (status, 7.0)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "A."}}', "A."),
        (b'{"error": "B."}', "B."),
        (b'{"message": "C."}', "C."),
        (b'{"detail": "D."}', "D."),
        (b'{"detail": [{"loc": ["body"], "msg": "E."}]}', "E."),
        (b'{"type": "error", "error": {"type": "api_error", "message": "F."}}', "F."),
        (b'{"error": {"message": "G.\\n\\u001b[31m  G."}}', "G. [31m G."),
    ],
)
def test_the_provider_is_quoted(body: bytes, said: str) -> None:
    """Whatever shape its error has, the provider's own sentence is told, on one line."""
    assert status_error(400, {}, body, provider="acme").message.endswith(f"It says: {said}")


@pytest.mark.parametrize(
    "body", [b"<html><h1>Bad gateway</h1></html>", b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"error": [1]}']
)
def test_pages_and_noise_are_not_quoted(body: bytes) -> None:
    """A page, or something that is no error object, is not repeated."""
    fault = status_error(502, {}, body, provider="acme")

    assert fault.message == "acme is failing. (HTTP 502)"


def test_a_quote_is_short_and_holds_no_key() -> None:
    """The key we sent does not come back in an error, nor does a long tale."""
    tale = f"Incorrect API key provided: {KEY}. " + "word " * 200
    body = json.dumps({"error": {"message": tale}}).encode()

    fault = status_error(401, {}, body, provider="acme", secrets=[KEY])

    assert KEY not in fault.message
    assert "[redacted]" in fault.message
    assert len(fault.message) < 320


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abc123DEF456",
        "sk-ab**********cdef",
        "sk-ant-api03-AbC_dEf-123456",
        "xai-12345678abcdef",
        "gsk_abc123DEF456ghi7",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "osk_live_0123456789abcdef",
        "hf_abcdEFGH1234",
        "Bearer abc.def",
        "eyJhbGciOi.eyJzdWIiOiIx.c2ln",
    ],
)
def test_what_looks_like_a_key_is_removed(key: str) -> None:
    """Keys of the known shapes are removed from foreign text even when they are not ours."""
    assert redact(f"Wrong key: {key}, sorry.") in {"Wrong key: [redacted], sorry.", "Wrong key: [redacted] sorry."}


def test_ordinary_words_stay() -> None:
    """Text without keys is left alone."""
    text = "The task-oriented model 'qwen-2.5' needs max_tokens below 4096; see https://example.com/docs?page=2."

    assert redact(text, ["", "max"]) == text


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "20"}, b"", 20.0),
        ({"retry-after-ms": "1500", "retry-after": "20"}, b"", 1.5),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, b"", 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 +9999999999999999"}, b"", None),
        (
            {},
            b'{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]}}',
            3.5,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, b"", 360.0),
    ],
)
def test_how_long_a_provider_wants_to_be_left_alone(
    headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    """It is heard in every form, from headers and from the body, and a hostile one is nothing that could be raised."""
    fault = status_error(429, headers, body, provider="acme")

    assert fault.retry_after == seconds


@pytest.mark.parametrize(("value", "told"), [("true", True), ("false", False), ("maybe", None)])
def test_what_a_provider_says_of_repeating_is_kept(value: str, told: bool | None) -> None:
    """`x-should-retry` goes with the error."""
    fault = status_error(503, {"x-should-retry": value}, b"", provider="acme")

    assert isinstance(fault, errors.Unavailable)
    assert fault.should_retry is told


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "content_policy_violation", "message": "No."}),
        (400, {"code": "content_filter", "message": "No."}),
        (400, {"code": "invalid_prompt", "message": "Flagged."}),
        (403, {"code": 403, "message": "Flagged.", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}),
    ],
)
def test_a_rule_that_forbids_a_question_says_nothing_of_the_key(status: int, error: dict[str, object]) -> None:
    """A refusal by policy is the question's, in whichever way a provider says it: no key is put aside for it."""
    fault = status_error(status, {}, json.dumps({"error": error}).encode(), provider="acme")

    assert isinstance(fault, errors.Refused)
    assert fault.reason == "policy"
