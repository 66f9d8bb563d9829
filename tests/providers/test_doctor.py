"""The doctor goes step by step, says what is wrong, spends nothing unasked, and tells no secret."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.providers.doctor import Check, Examination, examine
from osaurus_nb.providers.doctor_report import report
from osaurus_nb.testing.loopback import LoopbackUpstream
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from tests.providers.listing import serving

pytestmark = pytest.mark.anyio
CANARY = "sk-canary-0123456789abcdef"
STEPS = ["name", "connection", "tls", "key", "models", "token"]


async def examined(home: Path, url: str, *, env: dict[str, str] | None = None, **options: Any) -> Examination:
    """What is found of a provider 'lab' at this address; `token` and `model` are for the doctor."""
    asked = {key: options.pop(key) for key in ("token", "model") if key in options}
    ProviderFile(Paths(home)).add("lab", url=url, **options)
    sources = ConfiguredSources(Settings(Paths(home)), env or {})
    try:
        return await examine(sources.current()["lab"], **asked)
    finally:
        await sources.aclose()


def verdicts(found: Examination) -> dict[str, str]:
    return {check.step: check.verdict for check in found.checks}


def check(found: Examination, step: str) -> Check:
    return next(check for check in found.checks if check.step == step)


@asynccontextmanager
async def nobody() -> AsyncGenerator[str, None]:
    """An address where nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    yield f"http://127.0.0.1:{port}/v1"


async def test_a_healthy_provider_is_well_and_asked_nothing_that_costs(tmp_path: Path) -> None:
    """Each step has its verdict and time; the question is left out and says how to ask it."""
    async with LoopbackUpstream() as upstream:
        found = await examined(tmp_path, upstream.url)

    assert found.well
    assert [check.step for check in found.checks] == STEPS
    assert verdicts(found)["models"] == "ok"
    assert check(found, "token").verdict == "skipped"
    assert "--token" in check(found, "token").told
    assert check(found, "connection").seconds is not None
    assert [request.path for request in upstream.requests] == ["/v1/models"]


async def test_one_word_is_asked_when_it_was_said_so(tmp_path: Path) -> None:
    """Of the first model that chats, or of the one that was named."""
    async with LoopbackUpstream(models=("text-embedding-3-small", "loopback")) as upstream:
        found = await examined(tmp_path, upstream.url, token=True)

        assert check(found, "token").verdict == "ok"
        assert "loopback answered after" in check(found, "token").told
        assert upstream.requests[-1].json["model"] == "loopback"
        assert upstream.requests[-1].json["max_tokens"] <= 16


async def test_a_model_that_fails_is_told(tmp_path: Path) -> None:
    """With its name; the steps before stay well."""
    async with LoopbackUpstream(models=("x?status=404",)) as upstream:
        found = await examined(tmp_path, upstream.url, token=True, model="x?status=404")

    assert check(found, "token").verdict == "failed"
    assert "[unsupported-model]" in check(found, "token").told
    assert not found.well


async def test_a_server_that_is_not_there_is_not_asked_for_models(tmp_path: Path) -> None:
    """What stands behind the failed step is skipped."""
    async with nobody() as url:
        found = await examined(tmp_path, url)

    assert verdicts(found) == {"name": "ok", "connection": "failed"} | dict.fromkeys(STEPS[2:], "skipped")
    assert "Nobody listens" in check(found, "connection").told


async def test_a_name_that_does_not_resolve_is_the_first_failure(tmp_path: Path) -> None:
    """And the only one."""
    found = await examined(tmp_path, "https://no-such-host.invalid/v1")

    assert verdicts(found) == {"name": "failed"} | dict.fromkeys(STEPS[1:], "skipped")


async def test_plain_http_behind_https_fails_at_tls(tmp_path: Path) -> None:
    """The connection stands, the handshake does not."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        found = await examined(tmp_path, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")

    assert verdicts(found)["connection"] == "ok"
    assert verdicts(found)["tls"] == "failed"
    assert "[tls-failure]" in check(found, "tls").told


@pytest.mark.parametrize(
    ("answer", "step", "bucket"),
    [
        ((401, {"error": {"message": f"bad key {CANARY}"}}), "key", "auth-rejected"),
        ((404, b"<html>"), "models", "bad-response"),
        ((200, {"odd": 1}), "models", "models-schema-mismatch"),
        ((500, {"error": CANARY}), "models", "models-endpoint-unavailable"),
    ],
)
async def test_what_the_api_gets_wrong_is_at_its_step(
    tmp_path: Path, answer: tuple[int, Any], step: str, bucket: str
) -> None:
    """A refused key is no broken list, and the other way round."""
    async with serving() as server:
        server.answers["/v1/models"] = answer
        found = await examined(tmp_path, f"{server.url}/v1", key_env="LAB_KEY", env={"LAB_KEY": CANARY})

    assert check(found, step).verdict == "failed"
    assert f"[{bucket}]" in check(found, step).told
    assert [check.step for check in found.checks if check.verdict == "failed"] == [step]
    assert "canary" not in repr(found) + report([found])


async def test_a_missing_key_is_told_with_nothing_sent(tmp_path: Path) -> None:
    """The step says where to put it."""
    async with serving() as server:
        found = await examined(tmp_path, f"{server.url}/v1", key_env="LAB_KEY")

        assert server.asked == []
    assert "[missing-credential]" in check(found, "key").told


async def test_models_of_this_machine_have_fewer_steps() -> None:
    """There is no name, no connection and no key."""
    found = await examine(ScriptedAdapter({"m": [says("hi")]}), token=True)

    assert verdicts(found) == {"models": "ok", "token": "ok"}


async def test_the_report_can_be_shown_to_anybody(tmp_path: Path) -> None:
    """No key, no host or name of one's own, no long part of a path; the verdicts and times are all there."""
    url = f"https://intranet-canary.example.org/accounts/canary0123456789abcdef/{CANARY}/v1"
    async with LoopbackUpstream() as upstream:
        good = await examined(tmp_path / "a", upstream.url)
    options = {"key_env": "MY_CANARY_VARIABLE", "headers": {"X-Org": "canary"}}
    bad = await examined(tmp_path / "b", url.replace(f"/{CANARY}", ""), env={"MY_CANARY_VARIABLE": CANARY}, **options)

    text = report([good, bad], at=datetime(2026, 11, 21, 8, 0, tzinfo=UTC))

    assert "canary" not in text.lower()
    assert "2026-11-21 08:00 UTC" in text.splitlines()[0]
    assert "<host 2>" in text
    assert "<provider 2>" in text
    assert "[endpoint-unreachable]" in text
    for step in STEPS:
        assert text.count(f" {step} ") >= 2


async def test_the_report_names_vendors_as_they_are(tmp_path: Path) -> None:
    """Whoever helps has to know which API it is."""
    file = ProviderFile(Paths(tmp_path))
    settings = file.add("openai", url="https://api.openai.com/v1")
    found = Examination("openai", f"openai · {settings.url}", [Check("name", "ok", "2 addresses.", 0.1)], settings)

    assert "openai · openai · https://api.openai.com/v1" in report([found])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost`, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_certificate_is_looked_at(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """One that nobody vouches for is the failure; with a trusted one the doctor goes on to the API."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serving("m", tls=context) as server:
        found = await examined(tmp_path, server.url.replace("127.0.0.1", "localhost") + "/v1")

    assert check(found, "tls").verdict == ("ok" if trusted else "failed")
    assert check(found, "models").verdict == ("ok" if trusted else "skipped")
    assert ("TLSv1.3" if trusted else "was not accepted: self-signed") in check(found, "tls").told
