"""Each way to fail has a name, a sentence and a next step, and none tells what is secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import get_args

import pytest

from osaurus_nb import errors
from osaurus_nb.models import Bucket, Diagnosis
from osaurus_nb.providers.diagnosis import diagnose
from osaurus_nb.providers.exchange import fetch
from osaurus_nb.providers.http import AddressPolicy, Call, HttpDoor, status_error

pytestmark = pytest.mark.anyio
CANARY = "sk-canary-0123456789abcdef"
PAGE = b"<!doctype html><title>Welcome to nginx!</title>" + CANARY.encode()


def of_status(status: int, body: bytes = b"", *, model: str | None = None) -> Diagnosis:
    error = status_error(status, {}, body, provider="lab", model=model, secrets=[CANARY])
    return diagnose(error, who="lab", host="api.example")


async def of_call(url: str, **options: float) -> Diagnosis:
    def refusal(answer, body):
        return status_error(answer.status_code, answer.headers, body, provider="lab")

    async with HttpDoor() as door:
        with pytest.raises(errors.OsaurusError) as caught:
            await fetch(door, Call(url, "GET", guard=AddressPolicy(private=True), **options), refusal, provider="lab")
    return diagnose(caught.value, who="lab", host="api.example")


@asynccontextmanager
async def answering(data: bytes | None) -> AsyncGenerator[str, None]:
    """A server that sends these bytes to everyone; with None it stays silent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if data is not None:
            writer.write(data)
            writer.close()
        await asyncio.sleep(0 if data is not None else 5)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("status", "bucket", "severity", "words"),
    [
        (401, "auth-rejected", "blocked", "401 from api.example: key rejected"),
        (403, "auth-rejected", "blocked", "403 from api.example"),
        (402, "request-rejected", "blocked", "no credit"),
        (404, "models-endpoint-unavailable", "blocked", "no list of models"),
        (405, "models-endpoint-unavailable", "blocked", "no list of models"),
        (418, "request-rejected", "blocked", "418 from api.example: request refused"),
        (429, "request-rejected", "warning", "slow down"),
        (301, "bad-response", "blocked", "redirects"),
        (500, "models-endpoint-unavailable", "warning", "500 from api.example: it is failing"),
        (504, "timeout", "warning", "too slow"),
    ],
)
def test_a_status_is_named(status: int, bucket: str, severity: str, words: str) -> None:
    """The kind, how bad it is, the host and the status; what passes by itself is a warning."""
    found = of_status(status, b'{"error": {"message": "your key is ' + CANARY.encode() + b'"}}')

    assert (found.bucket, found.severity) == (bucket, severity)
    assert words in found.title
    assert found.action
    assert "canary" not in repr(found)


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_web_page_is_no_api(status: int) -> None:
    """Where HTML comes back, the base URL is wrong."""
    found = of_status(status, PAGE) if status != 200 else diagnose(page_as_answer(), who="lab", host="api.example")

    assert "not an API" in found.title
    assert "base URL" in found.action
    assert "nginx" not in repr(found)


def page_as_answer() -> errors.BadAnswer:
    error = errors.BadAnswer("'lab' listed its models in no JSON we know.", provider="lab")
    error.reason = "page"
    return error


def test_the_page_of_a_failing_proxy_passes() -> None:
    """A 502 in HTML is a failing server, not a wrong address."""
    assert of_status(502, PAGE).severity == "warning"


def test_a_model_that_is_not_there_is_no_missing_list() -> None:
    """A 404 for a question is about the model."""
    assert of_status(404, model="gpt-9").bucket == "unsupported-model"


def test_a_missing_key_says_where_to_put_it() -> None:
    """Our own sentence: what is missing, and the variable."""
    error = errors.CredentialRejected("No key for 'lab'. Set LAB_KEY where osaurus runs.", provider="lab")

    found = diagnose(error, who="lab")

    assert found == Diagnosis("missing-credential", "blocked", "No key for 'lab'", "Set LAB_KEY where osaurus runs.")


async def test_a_name_that_does_not_resolve_is_told() -> None:
    """The host is named, and it is tried again."""
    found = await of_call("http://no-such-host.invalid/v1/models")

    assert (found.bucket, found.severity) == ("endpoint-unreachable", "warning")
    assert "api.example was not found" in found.title


async def test_nobody_there_is_told() -> None:
    """With the address and port where nobody listens."""
    async with answering(b"") as gone:
        pass

    found = await of_call(f"http://{gone}/")

    assert found.bucket == "endpoint-unreachable"
    assert found.title == f"Nobody listens at {gone.replace(':', ' port ')}"


async def test_an_address_that_is_never_contacted_is_told() -> None:
    """A metadata service stays blocked; retrying makes no sense."""
    found = await of_call("http://169.254.169.254/")

    assert (found.bucket, found.severity) == ("endpoint-unreachable", "blocked")
    assert "never contacted" in found.title


async def test_plain_http_behind_https_is_a_tls_failure() -> None:
    """The next step names the way out."""
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as there:
        found = await of_call(f"https://{there}/")

    assert found.bucket == "tls-failure"
    assert "plain http" in found.action


async def test_silence_is_a_timeout() -> None:
    """A server that accepts and says nothing is too slow."""
    async with answering(None) as there:
        found = await of_call(f"http://{there}/", read=0.1)

    assert found.bucket == "timeout"


async def test_no_http_at_all_is_told() -> None:
    """Another protocol's greeting is quoted nowhere."""
    async with answering(b"220 canary ESMTP\r\n") as there:
        found = await of_call(f"http://{there}/")

    assert found.bucket == "bad-response"
    assert "canary" not in repr(found)


async def test_a_refusing_proxy_is_told() -> None:
    """What is in the way is the proxy, not the provider."""
    refusing = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    async with answering(refusing) as there, HttpDoor(proxy=f"http://user:{CANARY}@{there}") as door:
        with pytest.raises(errors.Unreachable) as caught:
            await fetch(door, Call("http://api.example/v1", "GET"), lambda *_: errors.OsaurusError(""), provider="lab")

    found = diagnose(caught.value, who="lab", host="api.example")

    assert found.bucket == "proxy-connect-failed"
    assert "407" in found.title
    assert "canary" not in repr(found)


def test_whatever_else_happens_has_a_name() -> None:
    """Every kind of error gives a known bucket and a sentence."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ProviderError)
    ]

    for kind in kinds:
        found = diagnose(kind("It broke.", provider="lab", upstream_status=599), who="lab")
        assert found.bucket in get_args(Bucket)
        assert found.title
    assert diagnose(errors.ConfigError("The file is broken. Repair it."), who="lab").action == "Repair it."
