"""Providers, the vault and access keys over HTTP: what can be done, who may, and that no secret comes back."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.gateway.keys import PLAIN_SCOPES
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.secrets import secrets_of
from tests.server import admin
from tests.server.test_door import login

CANARY = "sk-canary-4471aa90bd"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_VAULT_KEY", "5" * 64)
    for name in ("OPENAI_API_KEY", "LAB_KEY"):
        monkeypatch.delenv(name, raising=False)
    with admin.fresh_secrets():
        yield tmp_path


@pytest.fixture
def desk(home, serve):
    with admin.desk(serve, home) as made:
        yield made


@pytest.fixture
def upstream():
    with admin.upstream() as made:
        yield made


def eventually(look, timeout=10.0):
    ends = time.monotonic() + timeout
    while not (found := look()) and time.monotonic() < ends:
        time.sleep(0.05)
    return found


def state(desk, slug):
    return desk.ask("GET", f"/providers/{slug}").json["status"]["state"]


def files_of(home: Path) -> bytes:
    """What the whole home holds, without the sockets."""
    return b"".join(f.read_bytes() for f in home.rglob("*") if stat.S_ISREG(os.lstat(f).st_mode))


def admin_paths(served):
    """Every path and method below /admin, as the running application routes them."""
    for rule in served.app.web_app.default_router.rules:
        for inner in getattr(rule.target, "rules", ()):
            pattern = inner.matcher.regex.pattern.rstrip("$")
            if "/admin/" not in pattern:
                continue
            path = re.sub(r"\([^()]*\)", "connect", pattern).removeprefix(served.path)
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                if method.lower() in vars(inner.target) or method == "GET":
                    yield method, path


# Who may


def test_a_key_without_the_scope_opens_none_of_it(desk):
    """The key that a tool or `jupyter osaurus` has asks models, and changes nothing here."""
    plain, issued = desk.served.service.keys.issue("tool", expires_in=None)

    paths = list(admin_paths(desk.served))

    assert issued.scopes == PLAIN_SCOPES
    assert len(paths) >= 20
    for method, path in paths:
        answer = desk.served.ask(method, path, json_body={}, key=plain)
        assert answer.status == 403, (method, path)
        assert answer.json["error"]["code"] == "permission_denied"
        assert "admin" in answer.json["error"]["message"]


def test_kernels_and_logins_may(desk):
    """The key that kernels inherit has the scope; so has whoever is logged in to Jupyter."""
    for key in (os.environ["OSAURUS_KEY"], desk.served.token):
        assert desk.ask("GET", "/presets", key=key).status == 200


def test_an_access_key_of_the_identity_may_not(desk):
    """It opens the models to somebody else, not the settings."""
    paths = Paths.from_env()
    token, _ = Identity.create(secrets_of(paths).slots, AccessKeys(paths.home / "identity")).issue()

    assert desk.ask("GET", "/providers", key=token).status == 403


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/vault/unlock"), ("PUT", "/providers/x/key"), ("DELETE", "/providers/x")]
)
def test_a_browser_session_needs_its_xsrf_token(desk, method, path):
    """A login cookie alone changes nothing: another site could make a browser send it."""
    cookies = login(desk.served)
    sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}

    bare = desk.ask(method, path, {}, headers=sent, key=None)
    full = desk.ask(method, path, {}, headers={**sent, "X-XSRFToken": cookies["_xsrf"]}, key=None)

    assert bare.status == 403
    assert full.status in (200, 400, 404)


# Providers


def test_the_presets_are_told(desk):
    """As data, in the order of the app, with where to get a key."""
    rows = desk.ask("GET", "/presets").json["data"]

    assert [row["name"] for row in rows][:4] == ["anthropic", "openai", "xai", "openrouter"]
    assert rows[0]["key_style"] == "x-api-key"
    assert rows[0]["key_url"].startswith("https://")


def test_a_provider_goes_from_error_to_connected_and_away(desk, upstream):
    """Set up by a pasted URL, it is told to have no key; with one it connects by itself; removed, it is gone."""
    added = desk.ask("POST", "/providers", {"name": "Lab", "url": upstream.url, "auth": "key"})
    broken = eventually(lambda: state(desk, "lab") == "error")
    diagnosis = desk.ask("GET", "/providers/lab").json["status"]["diagnosis"]
    kept = desk.ask("PUT", "/providers/lab/key", {"value": admin.GOOD})
    works = eventually(lambda: state(desk, "lab") == "connected")
    shown = desk.ask("GET", "/providers/lab").json
    removed = desk.ask("DELETE", f"/providers/{shown['id']}")

    assert added.status == 201
    assert (added.json["slug"], added.json["key"]["origin"]) == ("lab", None)
    assert broken
    assert diagnosis["bucket"] in ("missing-credential", "auth-rejected")
    assert (kept.status, kept.json["origin"], kept.json["vault"]["lasting"]) == (200, "vault", True)
    assert works
    assert shown["key"]["origin"] == "vault"
    assert removed.json["deleted"] is True
    assert desk.ask("GET", "/providers/lab").status == 404
    assert secrets_of(Paths.from_env()).names(shown["id"]) == ()


def test_another_key_is_used_at_once(desk, upstream):
    """A provider that is connected is connected anew with the key that was just put, and told when that is refused."""
    desk.ask("POST", "/providers", {"name": "lab", "url": upstream.url, "auth": "key"})
    desk.ask("PUT", "/providers/lab/key", {"value": admin.GOOD})
    assert eventually(lambda: state(desk, "lab") == "connected")

    desk.ask("PUT", "/providers/lab/key", {"value": "sk-wrong-1"})

    assert eventually(lambda: state(desk, "lab") == "error")
    row = desk.ask("GET", "/providers/lab").json["status"]
    assert row["diagnosis"]["bucket"] == "auth-rejected"
    assert row["diagnosis"]["title"].startswith("401 from 127.0.0.1")


def test_each_act_says_how_it_stands(desk):
    """Connect, disconnect, enable, disable and test answer with the state that came of it."""
    with admin.upstream(secure=False) as free:
        desk.ask("POST", "/providers", {"name": "free", "url": free.url})
        connected = desk.ask("POST", "/providers/free/connect")
        parted = desk.ask("POST", "/providers/free/disconnect")
        disabled = desk.ask("POST", "/providers/free/disable")
        refused = desk.ask("POST", "/providers/free/connect")
        tested = desk.ask("POST", "/providers/free/test")
        enabled = desk.ask("POST", "/providers/free/enable")

    assert connected.json["state"] == "connected"
    assert parted.json["state"] == "disconnected"
    assert (disabled.json["enabled"], disabled.json["status"]["state"]) == (False, "disabled")
    assert (refused.status, refused.json["error"]["code"]) == (409, "conflict")
    assert (tested.json["state"], tested.json["models"]) == ("connected", ["m1"])
    assert tested.json["seconds"] > 0
    assert enabled.json["enabled"] is True


def test_a_post_without_a_body_by_a_program_is_an_act(desk):
    """`curl -X POST …/enable` needs nothing more."""
    desk.ask("POST", "/providers", {"name": "lab", "url": "http://127.0.0.1:9/v1"})

    answer = desk.ask("POST", "/providers/lab/disable")

    assert answer.json["enabled"] is False


def test_an_edit_changes_what_is_said_alone(desk):
    """A PATCH leaves the rest; the slug follows the name, the id stays."""
    before = desk.ask("POST", "/providers", {"preset": "openai", "enabled": False, "models": ["a"]}).json
    after = desk.ask("PATCH", "/providers/openai", {"name": "Work", "timeout": None, "headers": {"X-Team": "red"}}).json

    assert (after["id"], after["slug"], after["timeout"]) == (before["id"], "work", None)
    assert (after["url"], after["models"], after["headers"]) == (before["url"], ["a"], {"X-Team": "red"})
    assert after["preset"] == "openai"


def test_the_order_is_the_callers(desk):
    """What is named comes first."""
    for name in ("a", "b", "c"):
        desk.ask("POST", "/providers", {"name": name, "url": "http://127.0.0.1:9/v1", "enabled": False})

    rows = desk.ask("POST", "/providers/reorder", {"order": ["c", "a"]}).json["data"]

    assert [row["slug"] for row in rows] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x", "url": "ftp://host"}, "url"),
        ({"name": "x", "host": "bad host"}, "host"),
        ({"name": "x", "url": "http://h.example", "port": 99999}, "port"),
        ({"name": "x", "url": "http://h.example", "base_path": "/a?b"}, "base_path"),
        ({"name": "x", "url": "http://h.example", "protocol": "gopher"}, "protocol"),
        ({"name": "x", "url": "http://h.example", "format": "telepathy"}, "format"),
        ({"name": "x", "url": "http://h.example", "timeout": -1}, "timeout"),
        ({"name": "x", "url": "http://h.example", "enabled": "yes"}, "enabled"),
        ({"name": "x", "url": "http://h.example", "headers": {"Authorization": CANARY}}, "headers"),
        ({"name": "x", "url": "http://h.example", "key_env": CANARY}, "key_env"),
        ({"name": "x", "url": "http://h.example", "secret_headers": ["bad name"]}, "secret_headers"),
        ({"name": "x", "url": "http://169.254.169.254/"}, "url"),
        ({"name": "x", "url": f"http://me:{CANARY}@h.example"}, "url"),
        ({"name": "local", "url": "http://h.example"}, "name"),
        ({"name": "x", "preset": "nobody"}, "preset"),
        ({"name": "x", "preset": "azure"}, "url"),
        ({"preset": "nobody"}, "preset"),
        ({"name": "nobody"}, "name"),
        ({}, "name"),
        ({"name": "x", "url": "http://h.example", "key": CANARY}, "key"),
        ({"name": "x", "colour": CANARY}, "colour"),
        ({"name": "x", "name ": CANARY}, "…"),
    ],
)
def test_a_wrong_field_is_named_and_not_repeated(desk, body, param):
    """A 400 says which field and why; nothing is set up, and what was sent is not echoed."""
    answer = desk.ask("POST", "/providers", body)

    assert answer.status == 400
    assert answer.json["error"]["param"] == param
    assert CANARY not in answer.body.decode()
    assert desk.ask("GET", "/providers").json["data"] == []


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{", b'{"value": ""}', b'{"value": 7}', b'{"value": "a", "value": "b"}']
)
def test_a_key_that_is_none_is_refused(desk, body):
    """Not an empty one, not a number, not two."""
    desk.ask("POST", "/providers", {"name": "lab", "url": "http://127.0.0.1:9/v1", "enabled": False})

    assert desk.ask("PUT", "/providers/lab/key", body=body).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/providers/nobody"),
        ("PATCH", "/providers/nobody"),
        ("DELETE", "/providers/nobody"),
        ("POST", "/providers/nobody/test"),
        ("POST", "/providers/nobody/connect"),
        ("PUT", "/providers/nobody/key"),
    ],
)
def test_an_unknown_provider_is_a_404(desk, method, path):
    """With its own code, so that it is told from a wrong path."""
    answer = desk.ask(method, path, {"value": "x"} if method == "PUT" else {})

    assert (answer.status, answer.json["error"]["code"]) == (404, "provider_not_found")


def test_a_damaged_file_is_told_beside_what_loads(desk, home):
    """The good entries are listed, the bad one is named."""
    desk.ask("POST", "/providers", {"name": "good", "url": "http://127.0.0.1:9/v1", "enabled": False})
    file = Paths.from_env().providers
    content = json.loads(file.read_text())
    content["providers"].append({"id": "B", "name": "bad"})
    file.write_text(json.dumps(content))

    listed = desk.ask("GET", "/providers").json

    assert [row["slug"] for row in listed["data"]] == ["good"]
    assert "bad" in listed["problems"][0]
    assert [row["provider"] for row in listed["others"]] == ["local"]


# Secrets


def test_a_key_in_the_environment_wins_and_is_named(desk, monkeypatch):
    """Its origin is the variable; a stored one would never be used, so it is not taken."""
    monkeypatch.setenv("LAB_KEY", CANARY)
    desk.ask(
        "POST", "/providers", {"name": "lab", "url": "http://127.0.0.1:9/v1", "key_env": "LAB_KEY", "enabled": False}
    )

    shown = desk.ask("GET", "/providers/lab")
    refused = [desk.ask("PUT", "/providers/lab/key", {"value": "x"}), desk.ask("DELETE", "/providers/lab/key")]

    assert shown.json["key"]["origin"] == "environment variable LAB_KEY"
    assert CANARY not in shown.body.decode()
    assert [answer.status for answer in refused] == [409, 409]
    assert "LAB_KEY" in refused[0].json["error"]["message"]


def test_a_secret_header_comes_and_goes_with_its_value(desk):
    """PUT makes it one of the provider's, in whatever case; it is sent; DELETE takes both away."""
    with admin.upstream(secure=False) as free:
        desk.ask("POST", "/providers", {"name": "free", "url": free.url})
        put = desk.ask("PUT", "/providers/free/headers/X-Team", {"value": CANARY})
        again = desk.ask("PUT", "/providers/free/headers/x-team", {"value": CANARY + "2"})
        row = desk.ask("GET", "/providers/free").json
        desk.ask("POST", "/providers/free/test")
        sent = free.seen[-1]
        gone = desk.ask("DELETE", "/providers/free/headers/X-TEAM")
        after = desk.ask("GET", "/providers/free").json

    assert put.json["origin"] == again.json["origin"] == "vault"
    assert row["secret_headers"] == [{"name": "X-Team", "origin": "vault", "env": None}]
    assert sent["x-team"] == CANARY + "2"
    assert gone.json["origin"] is None
    assert after["secret_headers"] == []
    assert desk.ask("DELETE", "/providers/free/headers/X-Team").status == 409
    assert desk.ask("PUT", "/providers/free/headers/Host", {"value": "x"}).json["error"]["param"] == "name"


def test_a_key_makes_a_keyless_provider_one_with_a_key(desk, upstream):
    """Nobody puts a key that is not to be used."""
    desk.ask("POST", "/providers", {"name": "lab", "url": upstream.url})

    desk.ask("PUT", "/providers/lab/key", {"value": admin.GOOD})

    assert eventually(lambda: state(desk, "lab") == "connected")
    assert desk.ask("GET", "/providers/lab").json["key"]["needed"] is True


def test_further_keys_are_numbered(desk, upstream):
    """The second is asked with where the first is rejected; each has its origin, and goes by its number."""
    desk.ask("POST", "/providers", {"name": "lab", "url": upstream.url, "auth": "key"})
    desk.ask("PUT", "/providers/lab/key", {"value": "sk-wrong-1"})
    desk.ask("PUT", "/providers/lab/key?number=2", {"value": admin.GOOD})
    works = eventually(lambda: state(desk, "lab") == "connected")
    both = desk.ask("GET", "/providers/lab").json["key"]
    desk.ask("DELETE", "/providers/lab/key?number=2")
    one = desk.ask("GET", "/providers/lab").json["key"]

    assert works
    assert (both["origin"], both["further"]) == ("vault", [{"number": 2, "origin": "vault"}])
    assert (one["origin"], one["further"]) == ("vault", [])
    for number in ("0", "-1", "x", "500"):
        answer = desk.ask("PUT", f"/providers/lab/key?number={number}", {"value": "x"})
        assert (answer.status, answer.json["error"]["param"]) == (400, "number")


def test_a_format_that_the_app_alone_speaks_cannot_be_asked(desk):
    """It is shown with the reason, and connecting says the same."""
    desk.ask("POST", "/providers", {"name": "lab", "url": "http://127.0.0.1:9/v1", "enabled": False})
    file = Paths.from_env().providers
    content = json.loads(file.read_text())
    content["providers"][0]["providerType"] = "mindReading"
    file.write_text(json.dumps(content))

    shown = desk.ask("GET", "/providers/lab").json["unsupported"]
    answers = [desk.ask("POST", f"/providers/lab/{act}") for act in ("test", "connect")]

    assert "mindReading" in shown
    assert [answer.status for answer in answers] == [409, 409]


def test_a_source_that_is_in_no_file_is_reached_by_its_name(desk):
    """This machine can be tested; the Router is not there without an identity."""
    here = desk.ask("POST", "/providers/local/test")
    router = [desk.ask("POST", f"/providers/osaurus/{act}") for act in ("test", "connect", "disconnect")]

    assert (here.status, here.json["provider"]) == (200, "local")
    assert [answer.status for answer in router] == [404] * 3


def test_a_key_that_was_put_is_nowhere(desk, home, upstream, capfd):
    """Not in an answer, a log, a repr, an error or a file in clear; the provider alone gets it."""
    desk.ask("POST", "/providers", {"name": "lab", "url": upstream.url, "auth": "key"})

    answers = [
        desk.ask("PUT", "/providers/lab/key", {"value": CANARY}),
        desk.ask("PUT", "/providers/lab/headers/X-Secret", {"value": CANARY}),
        desk.ask("PUT", "/providers/lab/key", {"value": CANARY, "more": CANARY}),
        desk.ask("PUT", "/providers/lab/key", {"value": f"{CANARY}\n{CANARY}"}),
        desk.ask("PUT", "/providers/lab/key", {"value": [CANARY]}),
        desk.ask("PUT", "/providers/lab/key", body=f'{{"value": "{CANARY}'.encode()),
        desk.ask("POST", "/vault/unlock", {"passphrase": CANARY}),
        desk.ask("POST", "/providers/lab/connect"),
        desk.ask("POST", "/providers/lab/test"),
        desk.ask("GET", "/providers"),
        desk.ask("GET", "/providers/lab"),
        desk.ask("GET", "/vault"),
        desk.served.ask("GET", "/health"),
    ]
    service = desk.served.service
    told = " ".join(f"{a.headers} {a.body.decode()}" for a in answers)
    shown = f"{vars(service)} {vars(service._administration)} {vars(service._administration.keys)}"
    out, err = capfd.readouterr()

    assert [a.status for a in answers[:6]] == [200, 200, 400, 400, 400, 400]
    assert any(CANARY in seen.get("authorization", "") for seen in upstream.seen)
    assert CANARY not in told + shown + out + err + desk.served.logs.getvalue()
    assert CANARY.encode() not in files_of(home)
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers[:-1])


def test_a_hand_written_secret_header_is_not_shown(desk):
    """What somebody wrote into the file in clear is named, not told."""
    desk.ask("POST", "/providers", {"name": "lab", "url": "http://127.0.0.1:9/v1", "enabled": False})
    file = Paths.from_env().providers
    content = json.loads(file.read_text())
    content["providers"][0]["customHeaders"] = {"Authorization": f"Bearer {CANARY}", "X-Team": "red"}
    file.write_text(json.dumps(content))

    answer = desk.ask("GET", "/providers/lab")

    assert CANARY not in answer.body.decode()
    assert (answer.json["hidden_headers"], answer.json["headers"]) == (["Authorization"], {"X-Team": "red"})


def test_a_locked_vault_says_what_to_do_and_opens_with_its_passphrase(home, serve, monkeypatch):
    """A wrong passphrase is a 423; the right one opens it, and the provider connects with its key."""
    monkeypatch.delenv("OSAURUS_VAULT_KEY")
    with admin.upstream() as upstream:
        secrets_of(Paths.from_env()).keep("passphrase", passphrase="right words here")
        with admin.desk(serve, home) as desk:
            desk.ask("POST", "/providers", {"name": "lab", "url": upstream.url, "auth": "key"})
            desk.ask("PUT", "/providers/lab/key", {"value": admin.GOOD})
        secrets_of.cache_clear()
        with admin.desk(serve, home) as desk:
            waits = eventually(lambda: state(desk, "lab") == "error")
            stays = desk.ask("DELETE", "/providers/lab")
            wrong = desk.ask("POST", "/vault/unlock", {"passphrase": "wrong words"})
            before = desk.ask("GET", "/vault").json
            right = desk.ask("POST", "/vault/unlock", {"passphrase": "right words here"})
            works = eventually(lambda: state(desk, "lab") == "connected")

    assert waits
    assert (stays.status, wrong.status) == (423, 423)
    assert wrong.json["error"]["code"] == "secrets_locked"
    assert "words" not in wrong.body.decode()
    assert before["state"] in ("locked", "unopened")
    assert right.json["state"] == "open"
    assert works


# The identity


def test_without_an_identity_there_is_none(desk):
    """It is told as that, and keys cannot be made."""
    shown = desk.ask("GET", "/identity").json
    refused = [desk.ask("POST", "/identity/keys", {}), desk.ask("DELETE", "/identity/keys/x")]

    assert (shown["exists"], shown["address"]) == (False, None)
    assert [answer.status for answer in refused] == [409, 409]


def test_an_access_key_is_shown_once_and_revoked(desk):
    """The token is in the answer to the POST alone; it opens the models until it is revoked, the next request fails."""
    paths = Paths.from_env()
    identity = Identity.create(secrets_of(paths).slots, AccessKeys(paths.home / "identity"))
    made = desk.ask("POST", "/identity/keys", {"label": "laptop", "expires": "30d"})
    token, id = made.json["token"], made.json["id"]
    opens = desk.served.ask("GET", "/v1/models", key=token)
    listed = desk.ask("GET", "/identity/keys")
    revoked = desk.ask("DELETE", f"/identity/keys/{id}")
    closed = desk.served.ask("GET", "/v1/models", key=token)
    shown = desk.ask("GET", "/identity")

    assert (made.status, opens.status, revoked.status, closed.status) == (201, 200, 200, 401)
    assert [(row["id"], row["label"], row["state"]) for row in listed.json["data"]] == [(id, "laptop", "valid")]
    assert token not in listed.body.decode() + desk.served.logs.getvalue()
    assert shown.json["address"] == identity.address
    assert identity.phrase().split()[0] not in shown.json
    assert identity.signer.secret().hex() not in shown.body.decode()
    assert desk.ask("DELETE", "/identity/keys/0x:unknown").status == 404


def test_keys_are_revoked_up_to_a_counter(desk):
    """All with this counter or a smaller one; what is no counter is refused by name."""
    paths = Paths.from_env()
    Identity.create(secrets_of(paths).slots, AccessKeys(paths.home / "identity"))
    counters = [desk.ask("POST", "/identity/keys", {}).json["counter"] for _ in range(3)]

    rows = desk.ask("DELETE", f"/identity/keys?up_to={counters[1]}").json["data"]

    assert [row["state"] for row in rows] == ["revoked", "revoked", "valid"]
    assert desk.ask("DELETE", "/identity/keys").json["error"]["param"] == "up_to"
    assert desk.ask("DELETE", "/identity/keys?up_to=all").status == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [({"expires": "2d"}, "expires"), ({"agent": 7}, "agent"), ({"label": "a\nb"}, "label"), ({"to": 1}, "to")],
)
def test_a_wrong_wish_for_a_key_names_the_field(desk, body, param):
    """And no key is made."""
    paths = Paths.from_env()
    Identity.create(secrets_of(paths).slots, AccessKeys(paths.home / "identity"))

    answer = desk.ask("POST", "/identity/keys", body)

    assert (answer.status, answer.json["error"]["param"]) == (400, param)
    assert desk.ask("GET", "/identity/keys").json["data"] == []
