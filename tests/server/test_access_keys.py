"""Keys of the identity at our own door, and who may spend the Router's credit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.settings import Settings
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.runtime import Runtime
from osaurus_nb.secrets import secrets_of
from osaurus_nb.testing.router import LoopbackRouter


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, whose vault has a key in the environment."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_VAULT_KEY", "5" * 64)
    secrets_of.cache_clear()
    yield tmp_path
    secrets_of.cache_clear()


@pytest.fixture
def identity(home: Path) -> Identity:
    paths = Paths.from_env()
    return Identity.create(secrets_of(paths).slots, AccessKeys(paths.home / "identity"))


@pytest.fixture
def router() -> Iterator[LoopbackRouter]:
    """On a loop and thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = LoopbackRouter()
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def served(identity: Identity, serve: Any, router: LoopbackRouter) -> Iterator[Any]:
    """A server whose sources are an identity's Router."""
    settings = replace(Settings.from_env(), url=None, key=None, router_url=router.url)
    with serve(backend=lambda: Runtime(ConfiguredSources(settings))) as running:
        yield running


def models(served: Any, key: str) -> Any:
    return served.ask("GET", "/v1/models", key=key)


def test_an_osk_key_opens_the_endpoint_until_it_is_revoked(served: Any, identity: Identity) -> None:
    """The next request after a revocation is refused, with the reason, whichever process revoked it."""
    token, key = identity.issue(label="laptop")

    before = models(served, token)
    identity.keys.revoke(key.id)
    after = models(served, token)

    assert before.status == 200
    assert after.status == 401
    assert "revoked" in after.json["error"]["message"]
    assert token not in after.body.decode()


@pytest.mark.parametrize(
    "change", [lambda token: token[:-1] + "0", lambda token: "osk-v1.x.y", lambda token: "osk-v1."]
)
def test_what_is_no_such_key_opens_nothing(served: Any, identity: Identity, change: Any) -> None:
    """A forged or cut one is a 401, never a 500."""
    token, _ = identity.issue(label="laptop")

    answer = models(served, change(token))

    assert answer.status == 401


def test_the_router_is_there_while_there_is_an_identity(served: Any, identity: Identity) -> None:
    """Its models come and go with the identity; nobody set it up."""
    with_one = [row["id"] for row in models(served, served.token).json["data"]]
    identity.wipe()
    without = [row["id"] for row in models(served, served.token).json["data"]]

    assert any(name.startswith("osaurus/") for name in with_one)
    assert not any(name.startswith("osaurus/") for name in without)


def test_a_plain_key_cannot_spend_the_router_s_credit(served: Any, identity: Identity, router: LoopbackRouter) -> None:
    """A key that was made for a tool asks all other models; the purse needs a scope, an osk key or a login."""
    [name, *_] = [row["id"] for row in models(served, served.token).json["data"] if row["id"].startswith("osaurus/")]
    token, _ = identity.issue(label="laptop")
    plain, _ = (
        served.app.extension_manager.extension_apps["osaurus_nb_server"]
        .copy()
        .pop()
        .service.keys.issue("tool", expires_in=None)
    )
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}

    refused = served.ask("POST", "/v1/chat/completions", json_body=body, key=plain)
    answered = served.ask("POST", "/v1/chat/completions", json_body=body, key=token)

    assert refused.status == 403
    assert refused.json["error"]["code"] == "spending_not_allowed"
    assert answered.status == 200


def test_the_caller_s_idempotency_key_is_charged_once(served: Any, identity: Identity, router: LoopbackRouter) -> None:
    """The same question under the same key is the same charge."""
    [name, *_] = [row["id"] for row in models(served, served.token).json["data"] if row["id"].startswith("osaurus/")]
    token, _ = identity.issue(label="laptop")
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}

    for _ in range(2):
        answer = served.ask(
            "POST", "/v1/chat/completions", json_body=body, key=token, headers={"Idempotency-Key": "once"}
        )
        assert answer.status == 200

    assert router.charges == 1
