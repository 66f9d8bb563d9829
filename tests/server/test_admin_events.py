"""States pushed over HTTP, and `osaurus.providers.test` and `.watch` with a server and without."""

from __future__ import annotations

import json
import os
import threading
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import islice

import pytest

from osaurus_nb import providers
from osaurus_nb.client import Client
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import OsaurusError
from osaurus_nb.providers import connections
from osaurus_nb.secrets import API_KEY, secrets_of
from tests.server import admin


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_VAULT_KEY", "5" * 64)
    monkeypatch.setenv("OSAURUS_ROUTER", "off")
    for name in ("OSAURUS_URL", "OSAURUS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with admin.fresh_secrets():
        yield tmp_path


@pytest.fixture
def desk(home, serve):
    with admin.desk(serve, home, ping_after=0.2) as made:
        yield made


@contextmanager
def watching(desk, key=""):
    """The lines of the stream, as they come."""
    connection = HTTPConnection("127.0.0.1", desk.served.port, timeout=10)
    headers = {"Authorization": f"Bearer {key or desk.key}", "Accept-Encoding": "gzip"}
    connection.request("GET", f"{desk.served.path}/admin/providers/events", headers=headers)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def states(answer):
    """What each event says of each source."""
    for line in answer:
        if line.startswith(b"data: "):
            yield {row["provider"]: row for row in json.loads(line[6:])["data"]}


def test_a_first_snapshot_then_each_change(desk):
    """Whoever opens the stream knows how all stand, and then hears of a provider that is added and connects."""
    with admin.upstream(secure=False) as free, watching(desk) as answer:
        told = states(answer)
        first = next(told)
        desk.ask("POST", "/providers", {"name": "free", "url": free.url})
        connected = next(rows for rows in told if rows.get("free", {}).get("state") == "connected")
        desk.ask("DELETE", "/providers/free")
        gone = next(rows for rows in told if "free" not in rows)

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert "Content-Encoding" not in answer.headers
    assert list(first) == ["local"]
    assert connected["free"]["models"] == 1
    assert list(gone) == ["local"]


def test_a_silence_is_broken_by_comments(desk):
    """So that nobody between us gives up."""
    with watching(desk) as answer:
        lines = [answer.readline() for _ in range(6)]

    assert lines[0] == b"event: providers\n"
    assert b": ping\n" in lines


def test_who_reads_late_still_gets_the_latest(desk):
    """A reader that slept through many changes and signs of life is told how all stand in the end."""
    with watching(desk) as answer:
        desk.served.service.ping_after = 0.001
        for number in range(10):
            desk.ask("POST", "/providers", {"name": f"p{number}", "url": "http://127.0.0.1:9/v1", "enabled": False})
        told = next(rows for rows in states(answer) if "p9" in rows)

    assert len(told) == 11


def test_a_revoked_key_is_told_nothing_more(desk):
    """The stream ends when its key opens nothing any more."""
    key, issued = desk.served.service.keys.issue("short", scopes={"admin"}, expires_in=None)

    with watching(desk, key) as answer:
        answer.readline()
        desk.served.service.keys.revoke(issued.id)
        rest = answer.read()

    assert rest.endswith(b"\n\n")
    assert not desk.served.service.watching


def test_a_watcher_keeps_no_server_alive(desk):
    """It is no activity that holds back the idle shutdown, and leaves nothing behind when it goes."""
    with watching(desk) as answer:
        answer.readline()
        during, counted = len(desk.served.service.watching), desk.served.extension.current_activity()

    for _ in range(100):
        if not desk.served.service.watching:
            break
        threading.Event().wait(0.05)
    assert (during, counted) == (1, None)
    assert not desk.served.service.watching
    assert "Traceback" not in desk.served.logs.getvalue()


def test_a_stopping_server_ends_the_stream(home, serve):
    """Who watches is not what a server waits for."""
    with admin.desk(serve, home) as desk:
        connection = HTTPConnection("127.0.0.1", desk.served.port, timeout=10)
        connection.request(
            "GET", f"{desk.served.path}/admin/providers/events", headers={"Authorization": f"Bearer {desk.key}"}
        )
        answer = connection.getresponse()
        answer.readline()

    assert b"ping" not in answer.read()[-6:]
    connection.close()


# In Python


@pytest.fixture(params=["embedded", "connected"])
def mode(request, home):
    """By this process, or by a server as in a kernel."""
    if request.param == "embedded":
        yield request.param
        return
    with admin.desk(request.getfixturevalue("serve"), home) as desk:
        assert os.environ["OSAURUS_URL"] == desk.served.url  # it is what kernels inherit
        yield request.param


def test_a_provider_is_tested(mode):
    """The same answer from both: its state, its models, how long it took; with a wrong key, what to do."""
    with admin.upstream() as upstream:
        lab = providers.add("Lab", url=upstream.url, auth="key", enabled=False)
        secrets_of(Paths.from_env()).set(lab.id, API_KEY, "sk-wrong-1")
        bad = providers.test("lab")
        secrets_of(Paths.from_env()).set(lab.id, API_KEY, admin.GOOD)
        good = providers.test("lab")

    assert (bad.provider, bad.state, bad.ok, bad.models) == ("lab", "error", False, ())
    assert bad.diagnosis.bucket == "auth-rejected"
    assert (good.state, good.ok, good.models, good.diagnosis) == ("connected", True, ("m1",), None)
    assert 0 < good.seconds < 10
    assert "sk-" not in f"{bad!r} {good!r}"


def test_an_unknown_one_is_an_error(mode):
    """It names what there is."""
    with pytest.raises(OsaurusError, match="no provider 'nobody'"):
        providers.test("nobody")


def test_changes_are_watched(mode, monkeypatch):
    """First how each stands, then what changes: one that is added, one that is removed."""
    monkeypatch.setattr(connections, "_TICK", 0.1)  # how often the file is looked at, in seconds
    with admin.upstream(secure=False) as free, closing(providers.watch()) as changes:
        first = next(changes)
        providers.add("free", url=free.url)
        added = next(row for row in changes if row.provider == "free" and row.state == "connected")
        providers.remove("free")
        removed = next(row for row in changes if row.state == "disconnected")

    assert first.provider == "local"
    assert added.models == 1
    assert (removed.provider, removed.error) == ("free", "It was removed.")


def test_the_clients_have_both(mode):
    """`Client.test` and `Client.watch`, for who has one."""
    with admin.upstream(secure=False) as free, Client() as client:
        providers.add("free", url=free.url)

        tested = client.test("free")
        [rows] = islice(client.watch(), 1)

    assert tested.ok
    assert "free" in {row.provider for row in rows}
