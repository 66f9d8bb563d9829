"""`POST /osaurus/admin/ledger/reconcile`: calls without an end, settled by the list of a Router on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.gateway.keys import PLAIN_SCOPES
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.identity.signer import Signer
from osaurus_nb.messages import user
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Attempt, Step
from osaurus_nb.providers.http import HttpDoor
from osaurus_nb.providers.router import RouterSettings, router_source
from osaurus_nb.request import ChatRequest
from osaurus_nb.secrets import secrets_of
from tests.server.conftest import Served, serving
from tests.server.ledger import billed, paid

VAULT = "5a" * 32
MODEL = "venice/model-b"
PATH = "/admin/ledger/reconcile"


@pytest.fixture(scope="module")
def router() -> Iterator[str]:
    command = [sys.executable, "-m", "osaurus_nb.testing.router"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def server(
    jupyter_dirs: Path, tmp_path: Path, router: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Served, Signer]]:
    """As anybody starts it, with an identity and a vault."""
    for name, value in {"HOME": str(tmp_path), "VAULT_KEY": VAULT, "ROUTER_URL": router}.items():
        monkeypatch.setenv(f"OSAURUS_{name}", value)
    secrets_of.cache_clear()
    paths = Paths(tmp_path)
    identity = Identity.create(secrets_of(paths).slots, AccessKeys(paths.home / "identity"))
    with serving(None, tmp_path) as served:
        yield served, identity.signer
    secrets_of.cache_clear()


def charge(router: str, signer: Signer) -> None:
    """One call that the ledger knows nothing of."""

    async def call() -> None:
        async with HttpDoor() as door:
            adapter = router_source(RouterSettings(router), lambda: signer, door).current()
            assert adapter is not None
            attempt = Attempt(Step("s0", "r0", MODEL, 0.0))
            request = ChatRequest(f"osaurus/{MODEL}", (user("hi"),))
            async with aclosing(adapter.stream(request, ModelCard(MODEL, "osaurus"), attempt)) as events:
                async for _ in events:
                    pass

    asyncio.run(call())


def die(home: Path, request_id: str) -> None:
    """A process that ends between sending a question and its answer."""
    env = os.environ | {"OSAURUS_VAULT_KEY": VAULT}  # which the server keeps from its children
    subprocess.run([sys.executable, "-c", _DEAD, str(home), request_id], check=True, env=env)


def names(said: Any, kind: str) -> list[str]:
    return [line["step"] for line in said[kind]]


def test_a_dead_call_is_settled_by_the_routers_list(server: tuple[Served, Signer], router: str, tmp_path: Path) -> None:
    """Looked at first, written once, and gone from what is open: with what the Router took for it."""
    served, signer = server
    charge(router, signer)
    listed = served.ask("POST", PATH, json_body={"dry_run": True}).json["loose"][0]["listed"]
    die(tmp_path, listed["request_id"])
    [orphan] = served.ask("GET", "/admin/ledger?orphans=true").json["data"]

    looked = served.ask("POST", PATH, json_body={"dry_run": True}).json
    done = served.ask("POST", PATH, json_body={}).json
    again = served.ask("POST", PATH, json_body={}).json

    assert (orphan["step"], orphan["kind"]) == ("s1", "open")
    assert [names(said, "settled") for said in (looked, done, again)] == [["s1"], ["s1"], []]
    assert (looked["written"], done["written"]) == (False, True)
    [line] = served.ask("GET", "/admin/ledger?step=s1").json["data"]
    assert (line["kind"], line["cost"]["micro"]) == ("settle", listed["cost_micro"])
    assert not served.ask("GET", "/admin/ledger?orphans=true").json["data"]


def test_what_is_only_likely_is_left_to_who_says_so(server: tuple[Served, Signer], router: str, tmp_path: Path) -> None:
    """A charge that one open call may have been: told, and taken for it when that is asked."""
    served, signer = server
    charge(router, signer)
    die(tmp_path, "mine")

    told = served.ask("POST", PATH, json_body={}).json
    accepted = served.ask("POST", PATH, json_body={"accept": True}).json

    assert (names(told, "waiting"), told["loose"][0]["perhaps"]) == (["s1"], ["s1"])
    assert (names(accepted, "settled"), names(accepted, "waiting")) == (["s1"], [])


def test_who_may_not_administer_may_not_reconcile(server: tuple[Served, Signer]) -> None:
    """It signs requests in the name of the identity, and writes into the ledger."""
    served, _ = server
    key = served.service.keys.issue("a colleague", scopes=PLAIN_SCOPES, expires_in=None)[0]

    assert served.ask("POST", PATH, json_body={}, key=key).status == 403


@pytest.mark.parametrize("vault", [None, VAULT])
def test_without_a_ledger_or_an_identity_there_is_nothing_to_do(
    jupyter_dirs: Path, tmp_path: Path, vault: str | None
) -> None:
    """A 409 says which of them is missing."""
    with billed(tmp_path, [paid()], vault=vault) as served:
        served.chat()

        answer = served.ask("POST", PATH, json_body={})

    assert answer.status == 409
    assert ("identity" if vault else "memory") in answer.json["error"]["message"]


_DEAD = f"""
import asyncio, os, sys, time
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.secrets import secrets_of
from osaurus_nb.spending import Entry

paths = Paths(Path(sys.argv[1]))

async def main():
    vault = secrets_of(paths)
    vault.unlock()
    entry = Entry("open", "s1", 1, time.time(), "osaurus", "{MODEL}", "osaurus/{MODEL}", request_id=sys.argv[2])
    await LedgerStore(paths, vault.slots).open(entry)
    os._exit(0)

asyncio.run(main())
"""
